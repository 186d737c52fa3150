// SPDX-License-Identifier: MIT
// twins HOLDER OTHER: runs the two shell lines as the first processes of two PID namespaces, each with its /proc, that were forked in the
// same hundredth of a second: same PID, same start time. OTHER begins once HOLDER has said something; it decides the exit status.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(const char *line, int go, int said)
{
	char byte;

	if (read(go, &byte, 1) != 1 || mount("proc", "/proc", "proc", 0, NULL) < 0)
		_exit(99);
	if (said >= 0)
		dup2(said, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", line, NULL);
	_exit(99);
}

static pid_t start(const char *line, int go[2], int said)
{
	pid_t child;

	if (pipe2(go, O_CLOEXEC) < 0)
		exit(99);
	child = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, 0);
	if (child < 0)
		exit(99);
	if (child == 0)
		run(line, go[0], said);
	return child;
}

static unsigned long long start_time(pid_t pid)
{
	char path[64], text[1024] = "", *at;
	unsigned long long start = 0;
	FILE *stat;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	stat = fopen(path, "r");
	if (!stat || fread(text, 1, sizeof text - 1, stat) == 0 || !(at = strrchr(text, ')')))
		exit(99);
	fclose(stat);
	for (int field = 2; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, "%llu", &start) != 1)
		exit(99);
	return start;
}

int main(int argc, char **argv)
{
	int go[2][2], said[2], status;
	pid_t twin[2];
	char byte;

	if (argc != 3 || pipe2(said, O_CLOEXEC) < 0)
		return 99;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 99;
	for (;;) {
		twin[0] = start(argv[1], go[0], said[1]);
		twin[1] = start(argv[2], go[1], -1);
		if (start_time(twin[0]) == start_time(twin[1]))
			break;
		for (int i = 0; i < 2; i++) {
			kill(twin[i], SIGKILL);
			waitpid(twin[i], NULL, 0);
		}
	}
	close(said[1]);
	if (write(go[0][1], "", 1) != 1 || read(said[0], &byte, 1) != 1 || write(go[1][1], "", 1) != 1)
		return 99;
	waitpid(twin[1], &status, 0);
	kill(twin[0], SIGKILL);
	waitpid(twin[0], NULL, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}
