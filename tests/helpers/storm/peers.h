// SPDX-License-Identifier: MIT
// The storm's contenders that are not ours: programs that use exclusiveprocess' protocol, and flock(1). All of these end the
// process, and need gaps_prepare().
#ifndef PEERS_H
#define PEERS_H

#include "tally.h"

// What a peer does with the lock file at PATH, in the place of a program that is started in SLOT.
__attribute__((noreturn)) void peers_run_python(const struct tally *tally, const char *path, int slot);
__attribute__((noreturn)) void peers_run_flock(const struct tally *tally, const char *path, int slot);

// The same for the command of a real flock(1), which inherited the lock's descriptor.
__attribute__((noreturn)) void peers_run_under_flock(const struct tally *tally, const char *path, int slot);

// Becomes a real flock(1), with STORM for its command.
__attribute__((noreturn)) void peers_exec_flock(const char *path, const char *storm, const char *folder, int slot);

// Attends to a real Python program, SCRIPT (tests/peers/contender.py), in this place.
__attribute__((noreturn)) void peers_attend_python(const struct tally *tally, const char *script, int slot);

#endif
