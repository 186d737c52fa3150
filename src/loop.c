// SPDX-License-Identifier: MIT
#include "loop.h"

#include "offspring.h"
#include "report.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 3600000
// How often it is looked whether what the command has left behind has ended, besides when a child does.
#define LOOK_AGAIN LEASE_SECOND

bool loop_open(struct loop *loop)
{
	loop->signals = signals_open();
	loop->timer = loop->signals == -1 ? -1 : timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return loop->timer != -1;
}

void loop_lose(struct loop *loop)
{
	int left;

	loop->lost = true;
	left = offspring_kill(command_reaped, loop->command);
	if (left > 0)
		report_error("the command", 0, "it or its descendants run as another user and cannot be killed", NULL);
	loop->over = true;
}

static void ask_to_end(struct loop *loop)
{
	int denied;

	if (!loop->late)
		(void)offspring_signal(SIGTERM, &denied);
	loop->late = true;
}

static void look_at_clock(struct loop *loop)
{
	enum lease_phase phase = lease_phase(loop->lease, lease_clock());

	if (loop->stage != LOOP_HOLDING || !loop->lease->id || loop->lost || loop->over)
		return;
	if (phase == LEASE_OVER)
		loop_lose(loop);
	else if (phase == LEASE_LATE)
		ask_to_end(loop);
}

// Whether what the lock is held for has ended: the command, and what keeps the machine's own lock in its place.
static bool is_over(const struct loop *loop)
{
	int denied;

	if (!loop->command->ended)
		return false;
	return loop->tree ? offspring_signal(0, &denied) == 0 : !localhold_is_inherited(loop->hold);
}

static void look_at_children(struct loop *loop)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
		if (!WIFSTOPPED(status))
			command_reaped(pid, status, loop->command);
		// Job control knows the keeper alone.
		else if (pid == loop->command->pid && loop->stage == LOOP_HOLDING && signals_stops(WSTOPSIG(status)))
			signals_stop(WSTOPSIG(status));
	}
}

// The terminal and the kernel send theirs to the whole process group: the command has got them.
static bool was_sent_to_us(const struct loop *loop, const struct signalfd_siginfo *info)
{
	return info->ssi_code <= 0 && (pid_t)info->ssi_pid != loop->command->pid;
}

static void take_signal(struct loop *loop, const struct signalfd_siginfo *info)
{
	int signal = (int)info->ssi_signo;

	if (signal == SIGCHLD || signal == SIGPIPE)
		return;
	if (loop->stage == LOOP_HOLDING && !loop->command->ended) {
		if (was_sent_to_us(loop, info))
			(void)kill(loop->command->pid, signal);
	} else if (sigismember(&loop->before->ignored, signal) == 0) {
		if (signals_stops(signal))
			signals_stop(signal);
		else if (signals_ends(signal))
			loop->ending = signal;
	}
}

static void look_at_signals(struct loop *loop)
{
	struct signalfd_siginfo info;

	while (read(loop->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		take_signal(loop, &info);
}

// When to wake up: at UNTIL, or when the clock has something for us.
static uint64_t next(const struct loop *loop, uint64_t until)
{
	uint64_t now = lease_clock();

	if (loop->lease->id && loop->stage != LOOP_LEAVING && !loop->lost)
		for (enum lease_phase phase = LEASE_LATE; phase <= LEASE_OVER; phase++) {
			uint64_t begin = lease_begin(loop->lease, phase);

			if (begin > now && begin < until)
				until = begin;
		}
	if (loop->stage == LOOP_HOLDING && loop->command->ended && until > now + LOOK_AGAIN)
		until = now + LOOK_AGAIN;
	return until;
}

static void sleep_until(const struct loop *loop, CURLM *curl, uint64_t until)
{
	struct curl_waitfd wake[] = { { .fd = loop->signals, .events = CURL_WAIT_POLLIN }, { .fd = loop->timer, .events = CURL_WAIT_POLLIN } };
	// Zero would be never.
	const struct itimerspec time = {
		.it_value = { .tv_sec = (time_t)(until / LEASE_SECOND), .tv_nsec = (long)(until % LEASE_SECOND) + (until == 0) },
	};

	(void)timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &time, NULL);
	(void)curl_multi_poll(curl, wake, 2, LONG_MS, NULL);
}

bool loop_wait(void *owner, CURLM *curl, uint64_t until)
{
	struct loop *loop = owner;

	sleep_until(loop, curl, next(loop, until));
	look_at_clock(loop);
	look_at_signals(loop);
	look_at_children(loop);
	// Stopped and continued, by then, or put to sleep.
	look_at_clock(loop);
	if (loop->stage == LOOP_HOLDING && !loop->over)
		loop->over = is_over(loop);
	if (loop->stage == LOOP_HOLDING)
		return !loop->over;
	if (loop->ending || loop->stage == LOOP_LEAVING)
		return !loop->ending;
	return !loop->command->ended && (!loop->lease->id || lease_phase(loop->lease, lease_clock()) != LEASE_OVER);
}
