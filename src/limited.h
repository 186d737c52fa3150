// SPDX-License-Identifier: MIT
// For libexclusivelock: system calls that block until a deadline, or until they are given up, without a signal of the program's.
//
// A call that may block runs in a short-lived thread, all signals blocked. The thread that wants it sleeps on a semaphore. When the time
// is over, the short-lived thread is cancelled within the system call, and joined: pthread_cancel(3) uses a signal of libc's own that
// programs cannot have. So the program's signals, their dispositions, masks and timers have no part in it. It needs libgcc_s, which libc would
// load at that moment; linked, it cannot be missing then. There is no way without: nothing but a signal that is handled takes one thread
// out of flock(2). Left there, it would get the lock later, before others that wait. A child process in its place could be killed, but its
// PID in /proc/locks would be nobody's, and it would live on when the program is killed. Polling loses the kernel's order.
//
// limited.c defines hidden functions in the place of libc's. The core calls them by libc's names:
//   flock, write    end with EINTR at the deadline of watch_arm(), which it defines, too
//   ppoll           ends with EINTR when this thread's call is given up
//   clock_gettime   is at its end then: every limit of the core has passed, so all that the core does comes to its end at once
#ifndef EXLOCK_LIMITED_H
#define EXLOCK_LIMITED_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

// What one thread of the library does, and another one may give up.
struct limited {
	sem_t wake;
	_Atomic bool given_up;
};

// Returns 0, or -1 and errno.
int limited_init(struct limited *limited);
void limited_destroy(struct limited *limited);

// The blocking calls of the calling thread belong to LIMITED from now on.
void limited_begin(struct limited *limited);

// Ends all of that at once, from another thread.
void limited_give_up(struct limited *limited);

// Starts RUN in a thread that has all signals blocked and little stack. Returns 0, or an errno.
int limited_start(pthread_t *thread, void *(*run)(void *), void *context);

#endif
