// SPDX-License-Identifier: MIT
// workers N: forks N workers that leave by exit(), waits for them, says "ready PID", waits for SIGTERM.
#include <sys/wait.h>

#include "term.h"

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;

	block_term();
	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		if (child < 0)
			return 99;
		if (child == 0)
			exit(0);
	}
	while (wait(NULL) > 0)
		;
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	await_term();
	return 0;
}
