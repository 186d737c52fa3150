// SPDX-License-Identifier: MIT
// Leaves a process that is ending and does not come to its end, as one that waits for a dead server: says "ready PID" and keeps it so until
// its standard input ends. Needs user namespaces. The first process of a PID namespace cannot end before all others in it are reaped; one was
// put into it from outside, and its parent, this program, does not wait for it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// Makes the namespace. Its child is number 1 there.
static int make_namespace(int to)
{
	pid_t first;

	if (unshare(CLONE_NEWPID) == -1 || (first = fork()) == -1)
		return 77;
	if (first == 0) {
		pause();
		return 0;
	}
	if (write(to, &first, sizeof(first)) != sizeof(first))
		return 1;
	close(to);
	(void)waitpid(first, NULL, 0);
	return 0;
}

static int is_ending(pid_t pid)
{
	char path[64], text[512];
	unsigned flags = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	file = fopen(path, "r");
	if (file && fgets(text, sizeof(text), file))
		(void)sscanf(text, "%*d %*s %*c %*d %*d %*d %*d %*d %u", &flags);
	if (file)
		(void)fclose(file);
	return (flags & 4) != 0;
}

int main(void)
{
	char path[64], end;
	pid_t first, inside;
	int pair[2], fd;

	if (unshare(CLONE_NEWUSER) == -1 || pipe(pair) == -1)
		return 77;
	if (fork() == 0)
		_exit(make_namespace(pair[1]));
	close(pair[1]);
	if (read(pair[0], &first, sizeof(first)) != sizeof(first))
		return 77;
	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/pid", (long)first);
	fd = open(path, O_RDONLY);
	if (fd == -1 || setns(fd, CLONE_NEWPID) == -1 || (inside = fork()) == -1)
		return 77;
	if (inside == 0)
		_exit(0);
	// It has ended, and nobody waits for it.
	(void)waitid(P_PID, (id_t)inside, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	(void)kill(first, SIGKILL);
	while (!is_ending(first))
		usleep(1000);
	printf("ready %ld\n", (long)first);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	return 0;
}
