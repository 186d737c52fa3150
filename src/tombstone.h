// SPDX-License-Identifier: MIT
// The tombstone: while it stands, the process that deleted a lock file is not quite gone.
//
// A process that ends gives up the flock, and the last one deletes the file, while output is still to be flushed and sockets
// to be closed. So an abstract socket is raised before, which the kernel takes away with the process, after everything else;
// whoever finds the lock free waits for that. Abstract names belong to a network namespace: across two of them only this
// last instant is not covered.
#ifndef EXLOCK_TOMBSTONE_H
#define EXLOCK_TOMBSTONE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Raises the tombstone for the lock file at PATH; it stands until this process, and whoever forks from it after this, has
// ended. Several processes of one program may end at once, each with a tombstone of its own. Returns 0, or -1 and errno:
// nothing may be given up before the kernel does it.
int tombstone_raise(const char *path);

// Who raised a tombstone.
struct tombstone_owner {
	pid_t pid;		// 0: not known, or of a PID namespace that cannot be seen from here
	uid_t user;
	bool user_known;
};

// Waits until no tombstone stands for PATH, or until DEADLINE (pause_clock). All of them are looked at; one whose owner has ended, and
// that a child forked in its last moment keeps, stands no more. Returns 0; or -1 and errno ETIME: OWNER has not ended yet; or another
// errno: that cannot be told.
int tombstone_await(const char *path, uint64_t deadline, struct tombstone_owner *owner);

// Whether a tombstone of the process PID stands for PATH.
bool tombstone_is_of(const char *path, pid_t pid);

#endif
