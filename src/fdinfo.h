// SPDX-License-Identifier: MIT
// Whether a process has a file's flock by an open descriptor, as its /proc/PID/fdinfo says: see proc_pid_fdinfo(5). The kernel shows a
// flock in every process that has the open file description, and only there.
#ifndef EXLOCK_FDINFO_H
#define EXLOCK_FDINFO_H

#include "keepers.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// What one descriptor's text says.
struct fdinfo {
	struct flock_line flock;	// pid 0 may be another PID namespace's
	bool has_flock;
	bool close_on_exec;
	bool read_only;
};

// Understands the text of /proc/PID/fdinfo/NUMBER. Pure.
struct fdinfo fdinfo_parse(const char *text, size_t length);

// Whether this process' open DESCRIPTOR has a flock: by what /proc says, since a sandbox that a descendant has inherited may refuse flock(2), or
// end it for that. Without a /proc by flock(2), which takes a free one.
bool fdinfo_has_flock(int descriptor);

// Whether TEXT, to which a /proc/PID/fd/NUMBER links, ends in the last part of PATH. The kernel writes " (deleted)" behind a deleted file's
// name. Pure: the file system of the file, which may be one that never answers, is not asked.
bool fdinfo_has_name(const char *text, size_t length, const char *path);

// The launcher hands a lock over by a descriptor that is open for reading only and has a high number, unless a limit forbids that. A shell, or
// flock(1), has no such one. A process with such a descriptor has the flock until it closes that or ends; others may let go of their flock.
enum fdinfo_result {
	FDINFO_WITHOUT,		// no descriptor of it has the flock; or the process has gone
	FDINFO_CLOSES,		// one has, and the kernel closes it in exec
	FDINFO_TAKEN,		// the same, and the process took the flock by itself: a start that looks at the file, or whose turn it is, has such a one
	FDINFO_STAYS,		// one has that stays open in exec
	FDINFO_HANDED_OVER,	// the same, and it is one that the launcher has handed over
	FDINFO_UNSEEN,		// this process may not look, or the budget is used up
};

// Looks at all descriptors of process PID for FILE's flock.
enum fdinfo_result fdinfo_look(pid_t pid, const struct mapped_file *file);

#endif
