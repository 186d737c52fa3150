// SPDX-License-Identifier: MIT
// Whether this process descends from the holder: then it runs, whatever it is.
#ifndef EXLOCK_DESCENT_H
#define EXLOCK_DESCENT_H

#include "mark.h"
#include "process.h"

#include <stdbool.h>

// Whether MARK, which this process inherited, names an instance that still holds the lock file at PATH, or one that has ended
// since it forked this process. While the instance lives this opens, reads and looks, nothing else: the
// process may be in a sandbox.
bool descent_by_mark(const struct mark *mark, const char *path);

// For a process with a mark of its own, from before it called exec: whether the file at PATH says so, too, or is out of its
// reach.
bool descent_own(const char *path, const struct process_self *self);

// For a process that lost its mark, before it is refused: whether one of its ancestors is HOLDER (if not 0), or keeps the
// lock file at PATH, or with ANY whichever lock file. HOLDER must be one whose PID not just anybody can have written: every
// process descends from PID 1.
bool descent_by_ancestry(pid_t holder, const char *path, bool any);

#endif
