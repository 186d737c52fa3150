// SPDX-License-Identifier: MIT
#include "signals.h"

#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

void signals_hold(struct signals_before *before)
{
	const struct sigaction normal = { .sa_handler = SIG_DFL };
	sigset_t all;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before->mask);
	sigemptyset(&before->ignored);
	for (int signal = 1; signal < NSIG; signal++) {
		struct sigaction action;

		if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			sigaddset(&before->ignored, signal);
		(void)sigaction(signal, &normal, NULL);
	}
}

void signals_restore(const struct signals_before *before)
{
	const struct sigaction ignored = { .sa_handler = SIG_IGN };

	for (int signal = 1; signal < NSIG; signal++)
		if (sigismember(&before->ignored, signal) == 1)
			(void)sigaction(signal, &ignored, NULL);
	(void)sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

int signals_open(void)
{
	sigset_t all;

	sigfillset(&all);
	return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

void signals_take_timers(struct signals_timers *taken)
{
	const struct itimerval none = { .it_value = { 0 } };

	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		(void)setitimer(which, &none, &taken->timers[which]);
}

void signals_set_timers(const struct signals_timers *timers)
{
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		(void)setitimer(which, &timers->timers[which], NULL);
}

bool signals_is_for_one(int signal)
{
	switch (signal) {
	// The terminal's reach the whole process group,
	case SIGINT:
	case SIGQUIT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGWINCH:
	// and these are about what the process itself has used up: the child has limits of its own.
	case SIGXCPU:
	case SIGXFSZ:
	case SIGCHLD:
	case SIGPIPE:
		return false;
	// When the terminal is gone only the leader of its session hears of it. In any other case they are the group's.
	case SIGHUP:
	case SIGCONT:
		return getsid(0) == getpid();
	default:
		return true;
	}
}

bool signals_stops(int signal)
{
	return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

bool signals_ends(int signal)
{
	return signal != SIGCHLD && signal != SIGCONT && signal != SIGURG && signal != SIGWINCH && !signals_stops(signal);
}

static void let_through(int signal)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signal);
	(void)kill(getpid(), signal);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
}

void signals_stop(int signal)
{
	sigset_t all;

	let_through(signal);
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
}

void signals_die(int signal)
{
	const struct sigaction normal = { .sa_handler = SIG_DFL };

	(void)sigaction(signal, &normal, NULL);
	let_through(signal);
	exit(128 + signal);
}
