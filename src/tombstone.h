// SPDX-License-Identifier: MIT
// The tombstone: while it stands, the process that deleted a lock file is not quite gone.
//
// A process that ends gives up the flock, and the last one deletes the file, while output is still to be flushed and sockets
// to be closed. So an abstract socket is raised before, which the kernel takes away with the process, after everything else;
// whoever finds the lock free waits for that. Abstract names belong to a network namespace: across two of them only this
// last instant is not covered.
#ifndef EXLOCK_TOMBSTONE_H
#define EXLOCK_TOMBSTONE_H

#include <stdint.h>
#include <sys/types.h>

// Raises the tombstone for the lock file at PATH; it stands until this process, and whoever forks from it after this, has
// ended. Several processes of one program may end at once, each with a tombstone of its own. Returns 0, or -1 and errno:
// nothing may be given up before the kernel does it.
int tombstone_raise(const char *path);

// Waits until no tombstone stands for PATH, or until DEADLINE (pause_clock). Returns 0; or -1 and errno ETIME: the process
// *PID (0: not known) has not ended yet; or another errno: that cannot be told.
int tombstone_await(const char *path, uint64_t deadline, pid_t *pid);

#endif
