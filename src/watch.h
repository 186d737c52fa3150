// SPDX-License-Identifier: MIT
// Being woken by the kernel when something ends. Deadlines are pause_clock()'s; UINT64_MAX is none.
#ifndef EXLOCK_WATCH_H
#define EXLOCK_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

// Sleeps until process PID has ended. Returns 0 (also if it was gone at once), or -1 and errno: ETIME: the deadline passed;
// EINTR: signals would not let it sleep; ENOSYS, EMFILE...: there is nothing to be woken by.
int watch_process(pid_t pid, uint64_t deadline);

// The same for the process that the pidfd PROCESS refers to.
int watch_ended(int process, uint64_t deadline);

// Sleeps until process PID has ended, or the file at PATH changed or went, or who has the other end of END has closed it (-1: there is none).
// May return early; look again.
void watch_holder(pid_t pid, const char *path, uint64_t deadline, int end);

// An alarm of one thread's. Only watch_arm() and watch_disarm() look inside.
struct watch_alarm {
	timer_t timer;
	sigset_t mask_before;
	struct sigaction action_before;
	bool armed;
};

// Makes a system call of this thread's that blocks fail with EINTR once DEADLINE has passed, again and again until
// watch_disarm(ALARM); does nothing without a deadline. In programs: by a POSIX timer and a real-time signal, of one thread at a time. The
// signal's disposition is as before afterwards, and a signal that was not the timer's own is sent again. In libexclusivelock: see
// limited.h. Returns 0, or -1 and errno.
int watch_arm(struct watch_alarm *alarm, uint64_t deadline);
void watch_disarm(struct watch_alarm *alarm);

#endif
