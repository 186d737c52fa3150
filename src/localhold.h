// SPDX-License-Identifier: MIT
// The machine's own lock, which the launcher took in this process before that became the keeper. It goes over to the command: its process
// is the one that the lock file names, whatever becomes of the keeper. Until then the keeper has the flock.
#ifndef EXLOCK_LOCALHOLD_H
#define EXLOCK_LOCALHOLD_H

#include "lockfile.h"
#include "mark.h"

struct localhold {
	struct lockfile lock;
	struct mark mark;
};

// Takes the flock up again, as EXCLUSIVELOCK_INSTANCE and EXCLUSIVELOCK_LOCKFILE of the environment say. False: this process has no
// lock, or it cannot be judged.
bool localhold_resume(struct localhold *hold);

// In a forked child: makes the lock its own, in the lock file and in the environment. Returns 0, or -1 and errno.
int localhold_take_over(struct localhold *hold);

// In that child, when nobody else has its flock any more and exec follows: lets what is exec'd inherit a descriptor that has the flock. Without one
// a command that loads no library would lose the lock when its first process ends. Where somebody else has the flock for an instant longer than
// it should, the record alone keeps the lock, as ever between exec and the library.
void localhold_hand_over(struct localhold *hold);

// In the parent, then: it has no part in the lock any more; in a tree it keeps its descriptor as all others do, but for ALL.
void localhold_part(struct localhold *hold, bool all);

// Gives the lock back, where it is this process' own; at its end, or while it goes on.
void localhold_leave(struct localhold *hold);
void localhold_release(struct localhold *hold);

// Whether a descendant of this process keeps the lock: a daemon that the command has left behind.
bool localhold_is_inherited(const struct localhold *hold);

#endif
