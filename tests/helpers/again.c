// SPDX-License-Identifier: MIT
// again FILE IMAGE...: until FILE is there, execs the first IMAGE with the images turned by one: a ring of exec.
// Then says "ready PID EXECS" and waits for SIGTERM.
#include "term.h"

int main(int argc, char **argv)
{
	const char *before = getenv("AGAIN");
	long execs = before ? atol(before) : 0;

	if (argc < 3)
		return 99;
	block_term();
	if (access(argv[1], F_OK) < 0) {
		char count[24], *next;

		snprintf(count, sizeof count, "%ld", execs + 1);
		setenv("AGAIN", count, 1);
		next = argv[2];
		for (int i = 2; i < argc - 1; i++)
			argv[i] = argv[i + 1];
		argv[argc - 1] = next;
		execv(next, argv);
		perror(next);
		return 99;
	}
	printf("ready %ld %ld\n", (long)getpid(), execs);
	fflush(stdout);
	await_term();
	return 0;
}
