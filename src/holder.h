// SPDX-License-Identifier: MIT
// Who really holds, where the record does not say: a daemon, whose recorded parent has ended.
#ifndef EXLOCK_HOLDER_H
#define EXLOCK_HOLDER_H

#include "keepers.h"
#include "process.h"
#include "record.h"

#include <stdbool.h>

// The PID of who holds the lock file at PATH: the recorded process if it lives; else one that maps the file, or that took the flock.
// 0: not known. A process of root's or of the file's owner that maps the file and is there to stay is recorded, if we may write:
// peers know only the record. Nobody else ever is: anybody may map what he may read.
// *STAYS: it was recorded by now, or is there to stay.
pid_t holder_find(const char *path, struct budget *budget, bool *stays);

// Whether nobody has the flock on the file at PATH. Takes it for an instant.
bool holder_flock_is_free(const char *path);

// At the end of this process, which FILE may name in its record, as it did in OWN: if a process forked from it keeps the lock,
// records that one. A child that is about to call exec will not keep it, so one is given some time to; WATCH_FLOCK: which shows in the
// flock's being free. SELF is who took the lock. Returns whether another process keeps the lock, or is in the record.
bool holder_hand_on(const struct mapped_file *file, const struct process_self *self, const struct record *own, bool watch_flock);

// Records a process forked from SELF that keeps FILE by a mapping without the flock, if one does: one that is there to stay, if that
// shows soon. Other users cannot see the mapping. Returns whether.
bool holder_hand_on_mapped(const struct mapped_file *file, const struct process_self *self);

// After the flock was left behind: waits until those processes that are just ending have done so, which were forked from SELF; all,
// where that is NULL, for the holder has ended. One that no record names may have
// lost the flock before its other files: where it had the lock's descriptor (in a tree), has more threads than one, or somebody read
// its maps at that moment. A stranger's process, neither root's nor the file OWNER's, is not waited for once it hangs. Returns whether all
// others have ended.
bool holder_await_endings(const struct process_self *self, uid_t owner, struct budget *budget);

#endif
