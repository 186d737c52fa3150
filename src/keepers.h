// SPDX-License-Identifier: MIT
// Which processes keep a lock file's flock, by what /proc says: who maps the file, who took the flock, who waits for it.
#ifndef EXLOCK_KEEPERS_H
#define EXLOCK_KEEPERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// A file as /proc/PID/maps shows it.
struct mapped_file {
	dev_t device;
	ino_t inode;
	const char *path;
	bool any;		// where processes are looked at: whichever lock file will do, too
};

// Whether one line of /proc/PID/maps (without its newline) is a mapping of FILE; with FILE NULL, of any lock file. The inode must agree, and the device or the path (some file systems show another device there than stat does).
// Pure.
bool keepers_line_maps(const char *line, size_t length, const struct mapped_file *file);

// Whether PID maps FILE, as above; another device must be the one that our own maps show for it. False where its maps cannot be
// read.
bool keepers_maps(pid_t pid, const struct mapped_file *file);

// The oldest process other than this one that maps FILE; 0 if none is seen. Reads /proc/*/maps: slow.
pid_t keepers_find_mapper(const struct mapped_file *file);

// One line of /proc/locks that is about a flock.
struct flock_line {
	pid_t pid;		// who took it, or waits for it
	dev_t device;
	ino_t inode;
	bool waits;
};

// Pure. False: the line is about something else.
bool keepers_parse_flock_line(const char *line, size_t length, struct flock_line *lock);

// The PID under which the flock on FILE was taken, from /proc/locks, whether that process lives or not; 0 if it is not told.
pid_t keepers_find_taker(const struct mapped_file *file);

// The process that took the flock on FILE, from /proc/locks; 0 if it is not told, or has ended.
pid_t keepers_find_locker(const struct mapped_file *file);

// Whether PID has the flock on FILE, or waits for it, from /proc/locks; false if that cannot be read.
bool keepers_is_in_line(const struct mapped_file *file, pid_t pid);

// Whether anybody has the flock on FILE, from /proc/locks; false if that cannot be read.
bool keepers_is_locked(const struct mapped_file *file);

enum waiters {
	WAITERS_NONE,
	WAITERS_SEEN,
	WAITERS_UNKNOWN,
};

// Whether anybody waits for the flock on FILE, which somebody has, from /proc/locks.
enum waiters keepers_find_waiters(const struct mapped_file *file);

#endif
