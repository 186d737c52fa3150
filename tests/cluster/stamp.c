// SPDX-License-Identifier: MIT
// Says when it is in main, and when, after SIGTERM, it leaves: "begin" and "end", each with the monotonic clock in nanoseconds and its PID.
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void say(const char *word)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	dprintf(STDOUT_FILENO, "%s %" PRId64 " %ld\n", word, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, (long)getpid());
}

int main(void)
{
	sigset_t term;
	int signal;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	say("begin");
	sigwait(&term, &signal);
	say("end");
	return 0;
}
