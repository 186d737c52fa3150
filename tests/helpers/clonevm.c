// SPDX-License-Identifier: MIT
// clonevm FILE: makes a process that shares its memory, clone(CLONE_VM), and leaves by exit(). That process writes its PID into FILE and goes on
// for a minute, or until it is ended.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char stack[65536];

// Nothing of libc's: the other process ends, with all that libc has in this memory.
static int go_on(void *file)
{
	struct timespec minute = { .tv_sec = 60 };
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", syscall(SYS_getpid));
	long fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT, 0644);

	syscall(SYS_write, fd, text, length);
	syscall(SYS_nanosleep, &minute, NULL);
	syscall(SYS_exit_group, 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	exit(clone(go_on, stack + sizeof(stack), CLONE_VM | SIGCHLD, argv[1]) == -1);
}
