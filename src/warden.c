// SPDX-License-Identifier: MIT
#include "warden.h"

#include "config.h"
#include "descriptor.h"
#include "keeperio.h"
#include "offspring.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

// How often it is looked whether what the command has left behind has ended, besides when a child does.
#define LOOK_AGAIN LEASE_SECOND

// The warden's own.
struct watch {
	const struct warden_orders *orders;
	const struct localhold *hold;
	bool tree;
	int channel, signals, timer;
	pid_t command;
	bool asked;		// to end, for the lease that is now
	bool ended;
	bool stopped;
	struct warden_report report;
};

static void tell(const struct watch *watch, const struct warden_report *report)
{
	(void)send(watch->channel, report, sizeof(*report), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void reaped(pid_t pid, int status, void *context)
{
	struct watch *watch = context;

	if (pid != watch->command)
		return;
	watch->ended = true;
	watch->report.status = status;
	tell(watch, &(struct warden_report){ .what = WARDEN_ENDED, .status = status });
}

// The keeper stops when the command does, for the shell's sake, and has to go on when it does.
static void tell_of_stop(struct watch *watch, int status)
{
	const struct warden_report stopped = { .what = WARDEN_STOPPED, .signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0 };

	if (WIFSTOPPED(status))
		tell(watch, &stopped);
	else if (watch->stopped)
		(void)kill(getppid(), SIGCONT);
	watch->stopped = WIFSTOPPED(status);
}

static void look_at_children(struct watch *watch)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0;) {
		if (WIFEXITED(status) || WIFSIGNALED(status))
			reaped(pid, status, watch);
		if (pid == watch->command)
			tell_of_stop(watch, status);
	}
}

// First the command, whose PID is its own until it is reaped: that needs no look at all.
static void kill_all(struct watch *watch)
{
	if (!watch->ended)
		(void)kill(watch->command, SIGKILL);
	(void)offspring_kill(reaped, watch);
}

// Nothing but the time itself is looked at before.
static void look_at_clock(struct watch *watch)
{
	uint64_t late = atomic_load(&watch->orders->late), over = atomic_load(&watch->orders->over), now = lease_clock();

	// One that has outlived an outage is asked again at the next.
	if (now < late)
		watch->asked = false;
	if (over && now >= over) {
		watch->report.lost = true;
		kill_all(watch);
	} else if (late && now >= late && !watch->asked) {
		watch->asked = watch->report.asked = true;
		offspring_signal(SIGTERM);
	}
	watch->report.late = watch->asked;
}

// All descendants are ours in the end, whether they can be seen or not.
static bool is_over(const struct watch *watch)
{
	if (!watch->ended || watch->report.lost || offspring_is_none())
		return watch->ended;
	return !watch->tree && !localhold_is_inherited(watch->hold);
}

static void sleep_once(const struct watch *watch)
{
	struct pollfd wake[] = { { .fd = watch->channel, .events = POLLIN }, { .fd = watch->signals, .events = POLLIN },
				 { .fd = watch->timer, .events = POLLIN } };
	uint64_t late = atomic_load(&watch->orders->late), over = atomic_load(&watch->orders->over);
	uint64_t until = late && !watch->asked ? late : over;

	if (watch->ended && (!until || until > lease_clock() + LOOK_AGAIN))
		until = lease_clock() + LOOK_AGAIN;
	timer_set(watch->timer, until);
	(void)ppoll(wake, sizeof(wake) / sizeof(*wake), NULL, NULL);
}

// Whatever is sent to the warden, it stays until the command has ended.
static void drop_signals(const struct watch *watch)
{
	struct signalfd_siginfo info;

	while (read(watch->signals, &info, sizeof(info)) > 0)
		;
}

// Whether the keeper is there. It says nothing: new orders have it wake us.
static bool has_keeper(const struct watch *watch)
{
	char byte;
	ssize_t length;

	while ((length = recv(watch->channel, &byte, 1, MSG_DONTWAIT)) > 0)
		;
	return length == -1 && errno == EAGAIN;
}

// To have another child reaped would free PIDs that the keeper still speaks of.
static void await_end(int channel)
{
	char byte;

	while (recv(channel, &byte, 1, 0) > 0)
		;
}

static _Noreturn void keep_watch(struct watch *watch)
{
	for (;;) {
		sleep_once(watch);
		look_at_clock(watch);
		drop_signals(watch);
		look_at_children(watch);
		if (!has_keeper(watch)) {
			// Without a lease the command runs as if nobody had been there; before it has begun, it sees to that itself.
			if (atomic_load(&watch->orders->over))
				kill_all(watch);
			_exit(EXIT_SUCCESS);
		}
		if (!is_over(watch))
			continue;
		watch->report.what = WARDEN_OVER;
		(void)send(watch->channel, &watch->report, sizeof(watch->report), MSG_NOSIGNAL);
		await_end(watch->channel);
		_exit(EXIT_SUCCESS);
	}
}

static _Noreturn void run(struct watch *watch, struct command *command, struct localhold *hold, const struct signals_before *before)
{
	struct warden_report report = { .what = WARDEN_FORKED };

	// A keeper that is killed while the warden is stopped has nobody else to continue it.
	(void)prctl(PR_SET_PDEATHSIG, SIGCONT);
	if (offspring_adopt() == -1)
		err(CONFIG_EXIT_ERROR, "PR_SET_CHILD_SUBREAPER");
	watch->command = report.pid = command_fork(command, hold, before);
	command_close(command);
	// By its session the library knows a process that has adopted another one; and the terminal's signals are not for the warden.
	(void)setsid();
	localhold_part(hold, false);
	descriptors_let_go((const int[]){ watch->channel, hold->lock.descriptor }, 2);
	watch->signals = signals_open();
	watch->timer = timer_open();
	if (watch->signals == -1 || watch->timer == -1)
		err(CONFIG_EXIT_ERROR, "descriptors");
	(void)send(watch->channel, &report, sizeof(report), MSG_NOSIGNAL);
	keep_watch(watch);
}

void warden_start(struct warden *warden, struct command *command, struct localhold *hold, const struct signals_before *before, bool tree)
{
	struct watch watch = { .hold = hold, .tree = tree };
	int channel[2];

	warden->orders = mmap(NULL, sizeof(*warden->orders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (warden->orders == MAP_FAILED || channel_open(channel) == -1)
		err(CONFIG_EXIT_ERROR, "the command's warden");
	watch.orders = warden->orders;
	watch.channel = channel[1];
	warden->pid = fork();
	if (warden->pid == -1)
		err(CONFIG_EXIT_ERROR, "fork");
	if (warden->pid == 0) {
		(void)close(channel[0]);
		run(&watch, command, hold, before);
	}
	(void)close(channel[1]);
	warden->channel = channel[0];
	warden->handle = descriptor_move_up(pidfd_open(warden->pid, 0));
}

static void signal_warden(const struct warden *warden, int signal)
{
	if (warden->handle != -1)
		(void)pidfd_send_signal(warden->handle, signal, NULL, 0);
}

void warden_wake(const struct warden *warden)
{
	signal_warden(warden, SIGCONT);
	(void)send(warden->channel, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void warden_kill(const struct warden *warden)
{
	signal_warden(warden, SIGKILL);
}

void warden_order(const struct warden *warden, const struct lease *lease)
{
	// Either alone is right as it was before, too.
	atomic_store(&warden->orders->late, lease ? lease_begin(lease, LEASE_LATE) : 0);
	atomic_store(&warden->orders->over, lease ? lease_begin(lease, LEASE_OVER) : 0);
	warden_wake(warden);
}

bool warden_read(const struct warden *warden, struct warden_report *report, bool *ended)
{
	ssize_t length = recv(warden->channel, report, sizeof(*report), MSG_DONTWAIT);

	*ended = length == 0 || (length == -1 && errno != EAGAIN && errno != EINTR);
	return length == (ssize_t)sizeof(*report);
}

bool warden_await_over(const struct warden *warden, struct warden_report *report)
{
	struct pollfd channel = { .fd = warden->channel, .events = POLLIN };
	uint64_t now = lease_clock(), end = now + WARDEN_TIME;
	bool ended = false;

	warden_wake(warden);
	for (; now < end && !ended; now = lease_clock()) {
		if (warden_read(warden, report, &ended)) {
			if (report->what == WARDEN_OVER)
				return true;
			continue;
		}
		(void)poll(&channel, 1, (int)((end - now) / (LEASE_SECOND / 1000)) + 1);
	}
	return false;
}

void warden_end(struct warden *warden)
{
	// Reaped already, its PID may be another's.
	if (waitpid(warden->pid, NULL, WNOHANG) != 0)
		return;
	(void)kill(warden->pid, SIGKILL);
	while (waitpid(warden->pid, NULL, 0) == -1 && errno == EINTR)
		;
}
