// SPDX-License-Identifier: MIT
// The same program goes on: a program that starts a new copy of itself and ends leaves its lock to that copy.
#ifndef EXLOCK_SUCCESSOR_H
#define EXLOCK_SUCCESSOR_H

#include "keepers.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>

// Whether two texts of LENGTH bytes, paths or command lines from their beginning, name the same. The folder below which an AppImage puts its
// files, /tmp/.mount_NAME, has another name of the same length at each start; there the names may differ. Pure.
bool successor_same_text(const char *one, const char *other, size_t length);

// Whether a process with the command line NEXT is about to run OWN, as nohup(1), nice(1) or env(1) are: it ends with the arguments of OWN. Or it is
// just being executed, and has none yet. OWN_LENGTH and LENGTH count the final zero bytes. Pure.
bool successor_runs_next(const char *own, size_t own_length, const char *next, size_t length);

// At the end of this process, which FILE names in its record OWN: looks among its living descendants for those that have called exec and
// run its executable with its command line, and leaves the record to the youngest. A forked worker of such a copy is none. A child that is
// about to become one is waited for, within the budget. MAPPED: what this process forks maps FILE, until it calls exec. Returns whether
// the record names another process now.
bool successor_record(const struct mapped_file *file, const struct record *own, bool mapped);

#endif
