// SPDX-License-Identifier: MIT
// A wait of libexclusivelock's: lockfile_wait() in a thread of the library's own, which has all signals blocked and its own table of
// descriptors. Whatever the program does meanwhile (fork, by whatever way; close all descriptors; signals; cancellation of the thread
// that waits), it has nothing of the wait, and the wait nothing of it. A wait that is given up leaves nothing: it goes the same way as
// one whose time is over.
#ifndef EXLOCK_WAITER_H
#define EXLOCK_WAITER_H

#include "limited.h"
#include "lockfile.h"

#include <sys/socket.h>
#include <sys/un.h>

struct socket_name {
	struct sockaddr_un address;
	socklen_t length;
};

struct waiter {
	struct lockfile *lock;		// the thread's, while there is one
	uint64_t deadline;
	struct lockfile_outcome outcome;
	enum lockfile_result result;
	pthread_t thread;
	struct limited limited;
	_Atomic uint32_t ended;		// a futex: the thread has a result
	sem_t go, sent;			// it is to pass the descriptor on, and has done so; then it is to let go of its own, or of the lock
	int sender;			// the thread's socket for that, in its own table
	struct socket_name from, to;	// that socket's name, and where to
	_Atomic bool orphaned;		// this process was forked from the one that has the thread
};

// Begins to wait for LOCK, which somebody holds, until DEADLINE (pause_clock). Returns 0, or an errno.
int waiter_start(struct waiter *waiter, struct lockfile *lock, uint64_t deadline, const struct lockfile_outcome *outcome);

// Sleeps until there is a result. Returns 0, or EINTR: a signal handler ran that was installed without SA_RESTART, or this is a child by
// fork. It is a cancellation point if cancellation is enabled, of the deferred type.
int waiter_sleep(struct waiter *waiter);

// Ends the wait, and gives back what it has got.
void waiter_give_up(struct waiter *waiter);

// Ends the wait with its result. Where that is LOCKFILE_TAKEN, *DESCRIPTOR, in this thread's table, has the flock; -1: it could not be passed
// on, *ERROR says why, and the lock has been given back.
enum lockfile_result waiter_finish(struct waiter *waiter, int *descriptor, int *error);

// In a child by fork, for all waits of its parent's threads.
void waiter_orphan(struct waiter *waiter);

#endif
