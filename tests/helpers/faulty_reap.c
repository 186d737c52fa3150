// SPDX-License-Identifier: MIT
// Waits for processes, but not for ever.
#include "faulty.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __WALL
#define __WALL 0x40000000
#endif
#define SECONDS_AT_MOST 30

static volatile sig_atomic_t too_long;

static void note_alarm(int signal)
{
	(void)signal;
	too_long = 1;
	alarm(1);
}

bool trace_reap(pid_t pid, int *status)
{
	while (waitpid(pid, status, __WALL) != pid) {
		if (errno != EINTR)
			return false;
		if (!too_long)
			continue;
		kill(pid, SIGKILL);
		while (waitpid(pid, status, __WALL) == pid && WIFSTOPPED(*status))
			;
		return false;
	}
	return true;
}

void trace_hurry(bool on)
{
	const struct sigaction action = { .sa_handler = note_alarm };

	(void)sigaction(SIGALRM, &action, NULL);
	too_long = 0;
	alarm(on ? SECONDS_AT_MOST : 0);
}
