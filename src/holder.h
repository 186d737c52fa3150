// SPDX-License-Identifier: MIT
// Who really holds, where the record does not say: a daemon, whose recorded parent has ended.
#ifndef EXLOCK_HOLDER_H
#define EXLOCK_HOLDER_H

#include "keepers.h"
#include "process.h"
#include "record.h"

#include <stdbool.h>

// The PID of who holds the lock file at PATH: the recorded process if it lives; else the one that maps the file, which is
// then recorded if we may write (peers know only the record) and it is there to stay; else the one that took the flock. 0: not known.
pid_t holder_find(const char *path);

// Records a process that keeps FILE by a mapping without the flock, if one does: one that is there to stay, if that shows soon. Other
// users cannot see the mapping. Returns whether.
bool holder_hand_on_mapped(const struct mapped_file *file);

// Whether nobody has the flock on the file at PATH. Takes it for an instant.
bool holder_flock_is_free(const char *path);

// At the end of this process, which FILE may name in its record, as it did in OWN: if a process forked from it keeps the lock,
// records that one. A child that is about to call exec will not keep it, so one is given some time to; WATCH_FLOCK: which shows in the
// flock's being free. Returns whether another process keeps the lock, or is in the record.
bool holder_hand_on(const struct mapped_file *file, const struct record *own, bool watch_flock);

// After the flock was left behind: waits, for a second at most, until all processes that are just ending have done so. One that
// no record names may have lost the flock before its other files: where it had the lock's descriptor (in a tree), has more
// threads than one, or somebody read its maps at that moment.
void holder_await_endings(void);

#endif
