// SPDX-License-Identifier: MIT
// orphan FILE: has a grandchild whose parent has ended and been waited for. That has the flock on FILE, and so many
// descriptors that the kernel is some milliseconds closing them; that of FILE it closes last. Kills it, and leaves by exit() at once.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKETS = 3000 };

__attribute__((noreturn)) static void live(const char *path, int ready)
{
	int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	pid_t pid = getpid();
	struct rlimit limit;

	if (file < 0 || flock(file, LOCK_EX | LOCK_NB) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(99);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	for (int count = 0; count < SOCKETS && socket(AF_INET, SOCK_STREAM, 0) >= 0; count++)
		;
	if (write(ready, &pid, sizeof pid) != sizeof pid)
		_exit(99);
	pause();
	_exit(99);
}

int main(int argc, char **argv)
{
	pid_t child, orphan;
	int ready[2];

	if (argc != 2 || pipe(ready) < 0 || (child = fork()) < 0)
		return 99;
	if (child == 0) {
		if (fork() == 0)
			live(argv[1], ready[1]);
		_exit(0);
	}
	close(ready[1]);
	if (waitpid(child, NULL, 0) != child || read(ready[0], &orphan, sizeof orphan) != sizeof orphan)
		return 99;
	kill(orphan, SIGKILL);
	return 0;
}
