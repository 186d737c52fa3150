// SPDX-License-Identifier: MIT
// The stranger: a user who runs no guarded program and does all that a user may do to others' lock. It maps the lock file and takes
// its flock for some milliseconds. It listens on the names of the tombstones, some by a process that has ended. It fills the queues of
// others' tombstones. Where no lock file is, it plants one that names a living process of root's. It reads what pins the memory of
// dying processes. All that may refuse a start; it must let none in.
#ifndef STRANGER_H
#define STRANGER_H

#include "tally.h"

// Starts it beside the storm, which is root's. LOCK_PATH must live as long as it does.
void stranger_start(struct tally *tally, const char *lock_path);

// REST: it lets go of everything, and this returns when it has. Else it goes on. Does nothing where there is no stranger.
void stranger_rest(struct tally *tally, bool rest);

void stranger_end(void);

#endif
