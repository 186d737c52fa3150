// SPDX-License-Identifier: MIT
// relay exit|_exit|exit_group [COMMAND]: forks a worker that keeps the flock, execs itself meanwhile, and that image becomes a daemon, which
// says "ready PID" on standard output and waits for SIGTERM. Worker and parents leave by the way named. With a COMMAND that image has
// ended the worker, and a child just before the daemon, which says "command PID", calls exec a little later.
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "term.h"

static void leave(const char *way)
{
	if (strcmp(way, "exit") == 0)
		exit(0);
	if (strcmp(way, "exit_group") == 0)
		syscall(SYS_exit_group, 0);
	_exit(0);
}

static void start_command(const char *command, pid_t worker)
{
	const clock_t busy = CLOCKS_PER_SEC / 50;
	pid_t child;

	kill(worker, SIGTERM);
	waitpid(worker, NULL, 0);
	child = fork();
	if (child == 0) {
		while (clock() < busy)
			;
		execlp(command, command, "1000", (char *)NULL);
		_exit(99);
	}
	printf("command %ld\n", (long)child);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char number[24];

	if (argc < 2)
		return 99;
	block_term();
	if (argc <= 3) {
		pid_t worker = fork();

		if (worker == 0) {
			await_term();
			leave(argv[1]);
		}
		printf("worker %ld\n", (long)worker);
		fflush(stdout);
		snprintf(number, sizeof number, "%ld", (long)worker);
		execl("/proc/self/exe", argv[0], argv[1], "again", number, argv[2], (char *)NULL);
		return 99;
	}
	if (argc == 5)
		start_command(argv[4], (pid_t)atol(argv[3]));
	if (fork() != 0)
		leave(argv[1]);
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	await_term();
	leave(argv[1]);
}
