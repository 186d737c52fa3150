// SPDX-License-Identifier: MIT
// relay exit|_exit: forks a worker that keeps the flock, execs itself meanwhile, and that image becomes a daemon, which
// says "ready PID" on standard output and waits for SIGTERM. Worker and parents leave by the way named.
#include <string.h>

#include "term.h"

static void leave(const char *way)
{
	if (strcmp(way, "exit") == 0)
		exit(0);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 99;
	block_term();
	if (argc == 2) {
		pid_t worker = fork();

		if (worker == 0) {
			await_term();
			leave(argv[1]);
		}
		printf("worker %ld\n", (long)worker);
		fflush(stdout);
		execl("/proc/self/exe", argv[0], argv[1], "again", (char *)NULL);
		return 99;
	}
	if (fork() != 0)
		leave(argv[1]);
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	await_term();
	leave(argv[1]);
}
