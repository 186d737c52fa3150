// SPDX-License-Identifier: MIT
// The alarm of watch.h, by a POSIX timer and a signal: for programs in which one thread alone has one, before main or at their end.
// libexclusivelock has another one (limited.c).
#include "pause.h"
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000u
// The last real-time signal; libc's SIGRTMAX is a function.
#define TIMER_SIGNAL 64
// After the deadline the timer goes on: its first signal may come between our look at the clock and the system call.
#define TIMER_REPEAT_NS 2000000

static volatile sig_atomic_t foreign;

static void note_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code != SI_TIMER)
		foreign = 1;
}

// Without the handler the signal would kill, and blocked it would wake nobody.
static bool catch_signal(struct watch_alarm *alarm)
{
	const struct sigaction action = { .sa_sigaction = note_signal, .sa_flags = SA_SIGINFO };
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, TIMER_SIGNAL);
	if (sigaction(TIMER_SIGNAL, &action, &alarm->action_before) == -1)
		return false;
	if (sigprocmask(SIG_UNBLOCK, &ours, &alarm->mask_before) == 0)
		return true;
	(void)sigaction(TIMER_SIGNAL, &alarm->action_before, NULL);
	return false;
}

int watch_arm(struct watch_alarm *alarm, uint64_t deadline)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL };
	struct itimerspec times = { .it_interval = { .tv_nsec = TIMER_REPEAT_NS } };

	alarm->armed = false;
	if (deadline == UINT64_MAX)
		return 0;
	event._sigev_un._tid = gettid();
	times.it_value = (struct timespec){ .tv_sec = (time_t)(deadline / NANOSECONDS), .tv_nsec = (long)(deadline % NANOSECONDS) };
	if (timer_create(CLOCK_MONOTONIC, &event, &alarm->timer) == -1)
		return -1;
	if (!catch_signal(alarm)) {
		(void)timer_delete(alarm->timer);
		return -1;
	}
	alarm->armed = true;
	return timer_settime(alarm->timer, TIMER_ABSTIME, &times, NULL);
}

// A timer that cannot be deleted (in a sandbox that knows no timer_delete) is stopped. False: it goes on.
static bool stop_timer(timer_t timer)
{
	const struct itimerspec never = { 0 };

	return timer_delete(timer) == 0 || timer_settime(timer, 0, &never, NULL) == 0;
}

void watch_disarm(struct watch_alarm *alarm)
{
	bool stopped;

	if (!alarm->armed)
		return;
	alarm->armed = false;
	// What the timer has sent is delivered when this call returns; after it there is nothing more to come.
	stopped = stop_timer(alarm->timer);
	(void)sigprocmask(SIG_SETMASK, &alarm->mask_before, NULL);
	// With the action it had, most likely none, the next signal of a timer that goes on would kill.
	if (stopped)
		(void)sigaction(TIMER_SIGNAL, &alarm->action_before, NULL);
	if (foreign) {
		foreign = 0;
		(void)kill(getpid(), TIMER_SIGNAL);
	}
}
