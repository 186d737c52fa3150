// SPDX-License-Identifier: MIT
#include "loop.h"

#include "keeperio.h"
#include "offspring.h"
#include "process.h"
#include "report.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LONG_MS 3600000

bool loop_open(struct loop *loop)
{
	loop->signals = signals_open();
	loop->timer = loop->signals == -1 ? -1 : timer_open();
	return loop->timer != -1;
}

static void reaped(pid_t pid, int status, void *context)
{
	(void)pid;
	(void)status;
	(void)context;
}

void loop_lose(struct loop *loop)
{
	loop->end.lost = loop->over = true;
	command_signal(loop->command, SIGKILL);
	warden_kill(loop->warden);
	if (offspring_kill(reaped, NULL) > 0)
		report_error("the command", 0, "some of its descendants run as another user and cannot be killed", NULL);
}

// Whether the warden has told, while this process stood still, that all was over while the lease lasted.
static bool is_told_over(struct loop *loop)
{
	struct warden_report report;
	bool ended;

	while (warden_read(loop->warden, &report, &ended))
		if (report.what == WARDEN_OVER) {
			loop->end = report;
			return loop->over = true;
		}
	return false;
}

// The warden does the same. It may be stopped.
static void look_at_clock(struct loop *loop)
{
	if (loop->stage == LOOP_HOLDING && loop->lease->id && !loop->over && lease_phase(loop->lease, lease_clock()) == LEASE_OVER &&
	    !is_told_over(loop))
		loop_lose(loop);
}

// It may have been continued since; then nobody would continue us.
static void stop_with_command(const struct loop *loop, int signal)
{
	struct process_stat process;

	if (process_read_stat(loop->command->pid, &process) == 0 && process.state == 'T')
		signals_stop(signal);
}

// A shell that suspends itself stops so. Who waits for the keeper is to hear of it where the command has the terminal; elsewhere the lease goes on
// being renewed. Such a shell has a process group of its own, of which the outer shell knows nothing when it gives the terminal back.
static void suspend_with_command(const struct loop *loop)
{
	int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	pid_t group = getpgid(loop->command->pid), foreground = terminal == -1 ? -1 : tcgetpgrp(terminal);

	if (foreground != -1 && (foreground == group || foreground == getpgrp())) {
		stop_with_command(loop, SIGSTOP);
		if (foreground == group && tcgetpgrp(terminal) == getpgrp())
			(void)tcsetpgrp(terminal, group);
	}
	if (terminal != -1)
		(void)close(terminal);
}

static void lose_warden(struct loop *loop, const char *why)
{
	loop->why = why;
	loop_lose(loop);
}

static void look_at_warden(struct loop *loop)
{
	struct warden_report report;
	bool ended = false;

	while (!loop->over && warden_read(loop->warden, &report, &ended)) {
		// Job control knows the keeper alone.
		if (report.what == WARDEN_STOPPED && loop->stage == LOOP_HOLDING) {
			if (signals_stops(report.signal))
				stop_with_command(loop, report.signal);
			else if (report.signal == SIGSTOP)
				suspend_with_command(loop);
		}
		loop->told |= report.what == WARDEN_ENDED;
		loop->over = report.what == WARDEN_OVER;
		if (loop->over)
			loop->end = report;
	}
	if (!loop->over && ended)
		lose_warden(loop, "the command's warden was killed");
}

// A warden that is stopped tells nothing: the name would be kept for as long as it is.
static void look_at_command(struct loop *loop)
{
	struct pollfd end = { .fd = loop->command->handle, .events = POLLIN };

	if (loop->stage != LOOP_HOLDING || loop->over || loop->told)
		return;
	if (!loop->overdue && poll(&end, 1, 0) == 1) {
		loop->overdue = lease_clock() + WARDEN_TIME;
		warden_wake(loop->warden);
	} else if (loop->overdue && lease_clock() >= loop->overdue) {
		lose_warden(loop, "the command has ended, and its warden does not tell how");
	}
}

static bool was_sent_to_us(const struct loop *loop, const struct signalfd_siginfo *info)
{
	if (info->ssi_code > 0)
		return signals_is_for_one((int)info->ssi_signo);
	return (pid_t)info->ssi_pid != loop->command->pid && (pid_t)info->ssi_pid != loop->warden->pid;
}

static void take_signal(struct loop *loop, const struct signalfd_siginfo *info)
{
	int signal = (int)info->ssi_signo;

	// What the kernel sends for our own writes has our own PID.
	if (signal == SIGCHLD || (signal == SIGPIPE && (pid_t)info->ssi_pid == getpid()))
		return;
	if (loop->stage == LOOP_HOLDING) {
		if (was_sent_to_us(loop, info))
			command_signal(loop->command, signal);
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

static uint64_t earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static void sleep_until(const struct loop *loop, CURLM *curl, uint64_t until)
{
	struct curl_waitfd wake[4] = { { .fd = loop->signals, .events = CURL_WAIT_POLLIN }, { .fd = loop->timer, .events = CURL_WAIT_POLLIN } };
	unsigned count = 2;

	// At the end nobody listens to the warden any more.
	if (!loop->over)
		wake[count++] = (struct curl_waitfd){ .fd = loop->warden->channel, .events = CURL_WAIT_POLLIN };
	if (loop->stage == LOOP_HOLDING && !loop->over && !loop->told) {
		if (loop->overdue)
			until = earlier(until, loop->overdue);
		else if (loop->command->handle != -1)
			wake[count++] = (struct curl_waitfd){ .fd = loop->command->handle, .events = CURL_WAIT_POLLIN };
	}
	if (loop->stage == LOOP_HOLDING && loop->lease->id)
		until = earlier(until, lease_begin(loop->lease, LEASE_OVER));
	timer_set(loop->timer, until);
	(void)curl_multi_poll(curl, wake, count, LONG_MS, NULL);
}

bool loop_wait(void *owner, CURLM *curl, uint64_t until)
{
	struct loop *loop = owner;

	sleep_until(loop, curl, until);
	look_at_clock(loop);
	look_at_signals(loop);
	look_at_warden(loop);
	look_at_command(loop);
	// It may have been stopped in between.
	look_at_clock(loop);
	if (loop->stage == LOOP_LEAVING)
		return !loop->ending;
	if (loop->stage == LOOP_HOLDING)
		return !loop->over;
	return !loop->ending && !loop->over && (!loop->lease->id || lease_phase(loop->lease, lease_clock()) != LEASE_OVER);
}
