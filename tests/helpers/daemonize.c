// SPDX-License-Identifier: MIT
// daemonize daemon|single|double exit|_exit|exit_group FILE: goes into the background, its parents leaving by the function named or by that
// system call, as daemon(3)'s own parent does; "double" also closes every descriptor. With its parents gone, it writes its PID
// into FILE and waits for SIGTERM.
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>

#include "term.h"

static pid_t parent;

static void fork_and_leave(const char *how)
{
	pid_t child;

	parent = getpid();
	child = fork();
	if (child < 0)
		_exit(99);
	if (child == 0)
		return;
	if (strcmp(how, "exit") == 0)
		exit(0);
	if (strcmp(how, "exit_group") == 0)
		syscall(SYS_exit_group, 0);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 99;
	block_term();
	parent = getpid();
	if (strcmp(argv[1], "daemon") == 0) {
		if (daemon(0, 0) < 0)
			return 99;
	} else {
		fork_and_leave(argv[2]);
		setsid();
	}
	if (strcmp(argv[1], "double") == 0) {
		fork_and_leave(argv[2]);
		closefrom(0);
	}
	while (getppid() == parent)
		usleep(1000);
	write_pid(argv[3]);
	await_term();
	return 0;
}
