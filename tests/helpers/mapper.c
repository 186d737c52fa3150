// SPDX-License-Identifier: MIT
// mapper UID FILE COMMAND [ARG...]: a process of user UID maps FILE, as who keeps a lock does, and waits; COMMAND is its child, and is run
// by the user who called. Returns COMMAND's status.
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_when_told(const int told[2], char **command)
{
	pid_t child = fork();
	char byte;

	if (child != 0)
		return child;
	(void)close(told[1]);
	if (read(told[0], &byte, 1) != 1)
		_exit(127);
	(void)close(told[0]);
	execvp(command[0], command);
	_exit(127);
}

int main(int argc, char **argv)
{
	int tell[2], fd, status;
	pid_t child;

	if (argc < 4 || pipe(tell) == -1)
		errx(2, "usage: mapper UID FILE COMMAND [ARG...]");
	child = start_when_told(tell, argv + 3);
	if (setuid((uid_t)atoi(argv[1])) == -1)
		err(2, "setuid");
	fd = open(argv[2], O_RDONLY);
	if (fd == -1 || mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0) == MAP_FAILED)
		err(2, "%s", argv[2]);
	if (write(tell[1], "", 1) != 1 || waitpid(child, &status, 0) != child)
		err(2, "the command");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
