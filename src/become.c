// SPDX-License-Identifier: MIT
#include "become.h"

#include "complain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define SHELL "/bin/sh"

const char *become_note;

// A script without "#!" is the shell's, as for execvp(3); a broken binary is nobody's.
static bool is_script(const char *file)
{
	char start[128];
	int fd = openat(AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd == -1 ? -1 : read(fd, start, sizeof(start));

	if (fd != -1)
		(void)close(fd);
	return length >= 0 && !memchr(start, '\0', (size_t)length) && !(length >= 4 && memcmp(start, "\177ELF", 4) == 0);
}

void become(const char *file, char **command)
{
	const char *name = command[0];
	int error;

	(void)execve(file, command, environ);
	error = errno;
	if (error == ENOEXEC && is_script(file)) {
		command[-1] = (char[]){ SHELL };
		command[0] = (char *)(uintptr_t)file;
		(void)execve(SHELL, command - 1, environ);
		error = errno;
	}
	FAIL_WITH(error == ENOENT ? CONFIG_EXIT_NOT_FOUND : CONFIG_EXIT_CANNOT_RUN, name, ": ", report_errno(error), become_note);
}
