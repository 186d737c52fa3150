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
