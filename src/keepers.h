// SPDX-License-Identifier: MIT
// Which processes keep a lock file's flock, by what /proc says: which map the file or have it open, which took the flock, which wait for it.
#ifndef EXLOCK_KEEPERS_H
#define EXLOCK_KEEPERS_H

#include "budget.h"
#include "mappings.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// A file as /proc/PID/maps shows it.
struct mapped_file {
	dev_t device;
	ino_t inode;
	const char *path;
	struct budget *budget;	// for looks at other processes; NULL: no limit
};

// Whether one line of /proc/PID/maps (without its newline) is a mapping of FILE. The inode must agree, and the device or the path (some file systems
// show another device there than stat does).
// Pure.
bool keepers_line_maps(const char *line, size_t length, const struct mapped_file *file);

// Whether PID maps FILE so that it may keep the lock. Compared by device and inode; another device than stat's must be the one that
// our own mapping of the file shows.
enum mappings keepers_look(pid_t pid, const struct mapped_file *file);

// The same. False where that cannot be seen.
bool keepers_maps(pid_t pid, const struct mapped_file *file);

// Whether PID keeps FILE's flock: by a mapping as above, or by an open descriptor. False where that cannot be seen.
bool keepers_keeps(pid_t pid, const struct mapped_file *file);

// The same, and PID is no start that just looks at FILE: such a start has the flock for an instant, by a descriptor that exec closes.
bool keepers_keeps_beyond_exec(pid_t pid, const struct mapped_file *file);

// The same, and it does until it ends, or at least has no way to let go that a shell or flock(1) would use: by a mapping, or by a descriptor that
// the launcher handed over. No other is to be recorded: a shell may let go of its flock and live on.
bool keepers_keeps_for_good(pid_t pid, const struct mapped_file *file);

// Whether PID's user is root or OWNER: the owner of a lock file may have any process in its record, a stranger none.
bool keepers_is_credible(pid_t pid, uid_t owner);

// The oldest process other than this one that maps FILE; 0 if none is seen. Looks at every process: slow.
pid_t keepers_find_mapper(const struct mapped_file *file);

// The same among the processes of root and of the file's OWNER.
pid_t keepers_find_credible(const struct mapped_file *file, uid_t owner);

// The same among all, and with no limit but the budget: where that ends before all have been looked at, the one at which it ended.
pid_t keepers_find_any(const struct mapped_file *file);

// One line of /proc/locks that is about a flock.
struct flock_line {
	pid_t pid;		// who took it, or waits for it
	dev_t device;
	ino_t inode;
	bool waits;
};

// Pure. False: the line is about something else.
bool keepers_parse_flock_line(const char *line, size_t length, struct flock_line *lock);

// Whether LOCK is on FILE. Compared as in keepers_look().
bool keepers_is_of(const struct flock_line *lock, const struct mapped_file *file);

// What follows reads /proc/locks: within the budget, and not more than an eighth of a megabyte of it.

// The PID under which the flock on FILE was taken, whether that process lives or not; 0 if it is not told, -1 if there is too much to read.
pid_t keepers_find_taker(const struct mapped_file *file);

// Which descriptors count in a search for the process that has the flock by one.
enum keepers_descriptors {
	KEEPERS_ALL,
	KEEPERS_INHERITED,	// those that stay open in exec, of root's processes, this user's and the file owner's
};

// A process that has the flock on FILE, whose owner is OWNER: the one that took it, if that still has it or does not let anybody look; else one
// that has it by an open descriptor of those that COUNT. Processes of root, this user and OWNER are looked at first; among them the ones
// that began soon after the one that took the flock. 0: none is seen.
pid_t keepers_find_locker(const struct mapped_file *file, uid_t owner, enum keepers_descriptors count);

// Whether PID has the flock on FILE, or waits for it; false if that cannot be read.
bool keepers_is_in_line(const struct mapped_file *file, pid_t pid);

// Whether anybody has the flock on FILE; false if that cannot be read.
bool keepers_is_locked(const struct mapped_file *file);

enum waiters {
	WAITERS_NONE,
	WAITERS_SEEN,
	WAITERS_UNKNOWN,
};

// Whether anybody waits for the flock on FILE, which somebody has.
enum waiters keepers_find_waiters(const struct mapped_file *file);

#endif
