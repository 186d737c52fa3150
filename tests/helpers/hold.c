// SPDX-License-Identifier: MIT
// Says "ready PID" and waits for SIGTERM, then leaves by exit(0) or, with the argument "_exit", by _exit(0).
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	sigset_t end;
	int signal;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	sigwait(&end, &signal);
	if (argc > 1 && strcmp(argv[1], "_exit") == 0)
		_exit(0);
	return 0;
}
