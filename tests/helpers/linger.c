// SPDX-License-Identifier: MIT
// Says "ready PID" on standard error and waits for SIGTERM. Then it ends, but only once somebody has read what stdio writes at the very
// end of exit(): more than a pipe takes.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { SIZE = 1 << 20 };

int main(void)
{
	static char buffer[2 * SIZE];
	sigset_t end;
	int signal, i;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	fprintf(stderr, "ready %ld\n", (long)getpid());
	sigwait(&end, &signal);
	for (i = 0; i < SIZE; i++)
		putchar('.');
	return 0;
}
