// SPDX-License-Identifier: MIT
// A peer's way in, past its own gaps.
#ifndef GAPS_H
#define GAPS_H

#include "tally.h"

// In the process that is to be a peer, or attends to one; before anything else here.
void gaps_prepare(struct tally *tally, const char *folder, const char *lock_path);

// The PID in the open file as Python reads it, -1: none, and whether such a process is alive to Python.
long gaps_read_pid(int fd);
bool gaps_is_alive(long pid);

// Which gap a Python program is in that has its lockf on the open FILE, which it CREATED, or which names nobody alive.
enum gap gaps_of_python(int fd, const struct file *file, bool created);

// Withdraws if a program that has the flock on FILE is in one.
void gaps_check_flock(const struct file *file);

__attribute__((noreturn)) void gaps_withdraw(enum gap gap);

// Takes the oracle; withdraws, or counts an overlap, if it is another's.
void gaps_enter(enum kind kind, int slot, const struct file *file);

// VISITOR, a Python program that is about to read the record, has its lock on a file that names VISITED, who is alive.
void gaps_tell_visit(long visitor, long visited);

// Lets go of the oracle, and says so if it DELETES next what is at the path, without a look; with that done, lets go of the lock
// among peers.
void gaps_get_out(bool deletes);
void gaps_let_peers_in(void);

#endif
