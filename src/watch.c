// SPDX-License-Identifier: MIT
#include "watch.h"

#include "pause.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000u

// The last real-time signal; libc's SIGRTMAX is a function.
#define TIMER_SIGNAL 64
// After the deadline the timer goes on: its first signal may come between our look at the clock and the system call.
#define TIMER_REPEAT_NS 2000000
// Where nothing can wake us, and as a second look where a wake-up could be missed.
#define LOOK_AGAIN_NS 20000000
#define LOOK_AGAIN_SAFELY_NS 1000000000
// Between the end of a process and its being seen to have ended.
#define LOOK_AGAIN_US 500
// A sandbox that lets a call return so for ever is not to make us spin.
#define INTERRUPTED_MAX 100

static struct timespec timespec_of(uint64_t nanoseconds)
{
	return (struct timespec){ .tv_sec = (time_t)(nanoseconds / NANOSECONDS),
				  .tv_nsec = (long)(nanoseconds % NANOSECONDS) };
}

// poll(2) until DEADLINE, or at most LIMIT nanoseconds.
static int poll_until(struct pollfd *files, nfds_t count, uint64_t deadline, uint64_t limit)
{
	uint64_t now = pause_clock();
	uint64_t left = now >= deadline ? 0 : deadline - now;
	struct timespec time;
	int result;

	if (left > limit)
		left = limit;
	time = timespec_of(left);
	result = ppoll(files, count, &time, NULL);
	if (result == 0)
		pause_passed(left);
	return result;
}

int watch_ended(int process, uint64_t deadline)
{
	struct pollfd file = { .fd = process, .events = POLLIN };
	int interrupted = 0;
	int result;

	do
		result = poll_until(&file, 1, deadline, UINT64_MAX);
	while (result == -1 && errno == EINTR && interrupted++ < INTERRUPTED_MAX);
	if (result == 0)
		errno = ETIME;
	return result == 1 ? 0 : -1;
}

int watch_process(pid_t pid, uint64_t deadline)
{
	int process = pidfd_open(pid, 0);
	int result, error;

	if (process == -1)
		return errno == ESRCH ? 0 : -1;
	result = watch_ended(process, deadline);
	error = errno;
	(void)close(process);
	errno = error;
	return result;
}

void watch_holder(pid_t pid, const char *path, uint64_t deadline)
{
	struct pollfd files[2] = { { .fd = pidfd_open(pid, 0), .events = POLLIN }, { .events = POLLIN } };
	uint64_t limit = LOOK_AGAIN_SAFELY_NS;

	// It has just ended.
	if (files[0].fd == -1 && errno == ESRCH) {
		pause_us(LOOK_AGAIN_US);
		return;
	}
	files[1].fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	// The watch is set now and the record was read before: what happened in between is seen at the next, safe look.
	if (files[1].fd == -1 ||
	    inotify_add_watch(files[1].fd, path, IN_DELETE_SELF | IN_MOVE_SELF | IN_MODIFY | IN_ATTRIB | IN_DONT_FOLLOW) == -1 ||
	    files[0].fd == -1)
		limit = LOOK_AGAIN_NS;
	(void)poll_until(files, 2, deadline, limit);
	for (int i = 0; i < 2; i++)
		if (files[i].fd != -1)
			(void)close(files[i].fd);
}

// The signal's disposition is the process': the first alarm sets it, the last one sets it back.
static atomic_flag changing = ATOMIC_FLAG_INIT;
static int alarms;
static _Atomic bool foreign;
static struct sigaction action_before;

static void note_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code != SI_TIMER)
		atomic_store_explicit(&foreign, true, memory_order_relaxed);
}

static void begin_change(void)
{
	while (atomic_flag_test_and_set(&changing))
		(void)sched_yield();
}

// False: there is no handler to be had, or (in a handler that has forked) no alarm, and nothing was counted.
static bool count_alarm(int change)
{
	struct sigaction action = { .sa_sigaction = note_signal, .sa_flags = SA_SIGINFO };
	bool done = true;

	begin_change();
	if (alarms == 0 && change < 0)
		done = false;
	else if (alarms == 0)
		done = sigaction(TIMER_SIGNAL, &action, &action_before) == 0;
	if (done)
		alarms += change;
	if (done && alarms == 0)
		(void)sigaction(TIMER_SIGNAL, &action_before, NULL);
	atomic_flag_clear(&changing);
	return done;
}

void watch_before_fork(void)
{
	begin_change();
}

void watch_after_fork(void)
{
	atomic_flag_clear(&changing);
}

void watch_after_fork_in_child(void)
{
	if (alarms > 0)
		(void)sigaction(TIMER_SIGNAL, &action_before, NULL);
	alarms = 0;
	atomic_store_explicit(&foreign, false, memory_order_relaxed);
	atomic_flag_clear(&changing);
}

int watch_arm(struct watch_alarm *alarm, uint64_t deadline)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL };
	struct itimerspec times = { .it_interval = { .tv_nsec = TIMER_REPEAT_NS } };
	sigset_t ours;

	alarm->armed = false;
	if (deadline == UINT64_MAX)
		return 0;
	event._sigev_un._tid = gettid();
	times.it_value = timespec_of(deadline);
	sigemptyset(&ours);
	sigaddset(&ours, TIMER_SIGNAL);
	if (timer_create(CLOCK_MONOTONIC, &event, &alarm->timer) == -1)
		return -1;
	// Without the handler the signal would kill, and blocked it would wake nobody.
	if (!count_alarm(1)) {
		(void)timer_delete(alarm->timer);
		return -1;
	}
	if (sigprocmask(SIG_UNBLOCK, &ours, &alarm->mask_before) == -1) {
		(void)timer_delete(alarm->timer);
		(void)count_alarm(-1);
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
	// With the action it had, most likely none, the next signal of one that goes on would kill.
	if (stopped)
		(void)count_alarm(-1);
	if (atomic_exchange_explicit(&foreign, false, memory_order_relaxed))
		(void)kill(getpid(), TIMER_SIGNAL);
}
