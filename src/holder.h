// SPDX-License-Identifier: MIT
// Which process really holds, where the record does not say: a daemon, whose recorded parent has ended.
#ifndef EXLOCK_HOLDER_H
#define EXLOCK_HOLDER_H

#include "keepers.h"
#include "process.h"
#include "record.h"

#include <stdbool.h>

// The PID of the process that holds the lock file at PATH: the recorded process if it lives; else one that has the flock by a descriptor, or
// maps the file. 0: not known. A process of root's or of the file's owner that maps the file, or has a descriptor that the launcher handed over, and
// is there to stay is recorded, if this process may write: peers know only the record. Nobody else ever is: anybody may map, and take the
// flock of, a file that they may read; and a process that took the flock by itself may let go of it and live on.
// *STAYS: it was recorded by now, or is there to stay.
pid_t holder_find(const char *path, struct budget *budget, bool *stays);

// The same, but of those that the record does not name only one that has the flock by a descriptor that stays open in exec. A start that
// looks at the file has no such one, nor has a child of a guarded program that is about to call exec. So this may be asked at once.
// Only processes of root, this user and the file's owner are looked at: a stranger's thousands of files do not use up the budget.
pid_t holder_find_inherited(const char *path, struct budget *budget, bool *stays);

// The recorded process of the lock file at PATH if it lives; else the nearest ancestor of this process that keeps the lock and is recorded for that.
// 0: there is none.
pid_t holder_find_above(const char *path, struct budget *budget);

// Whether nobody has the flock on the file at PATH. Takes it for an instant.
bool holder_flock_is_free(const char *path);

// Whether PID is there to stay: it sleeps, or works for longer than any child does before it calls exec.
bool holder_stays(pid_t pid);

// Whether PID still is what it was found to be.
typedef bool holder_still(pid_t pid, const struct mapped_file *file);

// Writes the process TO into the record of FILE, if that still is OWN, this process' own, and STILL(TO). Returns whether.
bool holder_leave_to(const struct mapped_file *file, const struct record *own, pid_t to, holder_still *still);

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
