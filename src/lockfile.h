// SPDX-License-Identifier: MIT
// The lock itself: taking it, keeping it without a descriptor, letting it go. Held means: somebody has the flock(2), or
// the record in the file names a living process. The flock follows fork, the PID follows exec.
#ifndef EXLOCK_LOCKFILE_H
#define EXLOCK_LOCKFILE_H

#include "budget.h"
#include "mark.h"
#include "process.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// One lock file, and our part in it.
struct lockfile {
	const char *path;		// absolute; the caller's, unchanged while the lock is held
	struct process_self self;
	bool keep_descriptor;		// an open descriptor for what is exec'd: scope tree; set where no record could be written
	pid_t asked_to_end;		// who was asked to end so that this process takes the lock; 0: nobody
	bool hands_over;		// exec follows, and what is exec'd is to inherit a descriptor
	int inherited;			// a descriptor from the process that started this one, which may have the file's flock. The next attempt to
					// take the lock takes it up or closes it; 0: none
	bool goes_on;			// the lock is the program's: at its end a new copy of that program gets it
	bool threads;			// other threads may be at work: nothing of the whole process may be changed
	bool rivals;			// other threads of this process have the lock or wait for it: a record of this process may be theirs
	bool own_directory;		// the file is in this user's own directory, LOCKDIR_OWN: it is taken in no other one
	bool unmapped;			// the descriptor alone is to keep the lock, whatever the file system: the caller passes it on

	// Set when the lock is taken or adopted.
	dev_t device;
	ino_t inode;
	void *mapping;			// NULL: none. It keeps the flock without a descriptor
	int descriptor;			// -1: none
	int handed;			// a copy of that for what is exec'd; 0: none
	bool recorded;			// the file has a record: of this process, if it could write one
	bool unwritable;		// the record is another process': this one could not write
	bool layered;			// a mapping does not keep the flock: a file system that lies over others
	bool resumed;			// it was this process' own before it called exec
	bool shares;			// the mapping has not got the flock
	void *page;			// the record, see lockfile_map_record(); NULL: none

	struct budget budget;		// of this start or end
};

enum lockfile_result {
	LOCKFILE_TAKEN,
	LOCKFILE_HELD,			// by another process
	LOCKFILE_ERROR,			// it cannot be judged
};

struct lockfile_outcome {
	pid_t holder;			// of a held lock; 0: not known
	bool vouched;			// its PID is not just what anybody may have written
	int error;			// errno; 0: see why
	const char *why;
};

// Takes the lock if it is free, or was this process' own before it called exec. Where the flock is busy but the recorded
// process is dead (a dying process' memory, or a child between fork and exec, has it for another instant), PATIENT looks
// again until the budget is used up before it says held.
enum lockfile_result lockfile_try(struct lockfile *lock, bool patient, struct lockfile_outcome *outcome);

// For a process that took the lock before it called exec, and inherited no descriptor: takes the flock again, as lockfile_try() would, but
// by one look. False: the flock is busy, or the record is another one; nothing has changed.
bool lockfile_resume(struct lockfile *lock);

// Waits for the lock until DEADLINE (pause_clock; UINT64_MAX: for ever), woken by the kernel, in its order. OUTCOME is what
// lockfile_try() said before.
enum lockfile_result lockfile_wait(struct lockfile *lock, uint64_t deadline, struct lockfile_outcome *outcome);

// Makes the descriptor of MARK, inherited from the holder, keep the lock in this process. False: MARK has none, or it is not that
// holder's.
bool lockfile_adopt(struct lockfile *lock, const struct mark *mark);

// Keeps the lock on the file that MARK names in this process without the flock, which it cannot share: by a mapping that is looked
// for where no other holder is found. False: it cannot.
bool lockfile_share(struct lockfile *lock, const struct mark *mark);

// For a lock that has been taken, and that is to be released while the process goes on: maps the record, so that it can be made to name
// nobody when the process can no longer open the file. DESCRIPTOR is the file's, from before the process may have lost the right to write to
// it; -1: none. Without memory for it the lock is taken all the same.
void lockfile_map_record(struct lockfile *lock, int descriptor);

// Whether LOCK is this process' own: it took the lock; or it was forked from the one that did, and the record names no other living
// process. Such a process gets the lock for its own: from now on LOCK and, if that can be written, the record say so. False: *HOLDER is
// whose it is, 0 if that is not known. One that has left the session of the process that took the lock is a daemon, most likely: that
// process is given the time to end, once.
bool lockfile_is_own(struct lockfile *lock, pid_t *holder);

// Gives the lock back while the process goes on: deletes the file, or leaves it to those who wait for it. In a process whose own it is not
// (lockfile_is_own()) only that process' share of it ends. Returns 0; or -1 and errno: the record can neither be changed nor deleted, and
// would keep others out, so nothing was given back.
int lockfile_release(struct lockfile *lock);

// Whether the record of LOCK's file names the process PID.
bool lockfile_names(const struct lockfile *lock, pid_t pid);

// Gives the lock back at exit: deletes the file if nobody else has the lock, so that the name is free once this process
// has ended, not before; hands the record on if a process forked from this one keeps the lock. Returns whether the lock
// was given back.
bool lockfile_leave(struct lockfile *lock);

#endif
