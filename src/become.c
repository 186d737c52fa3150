// SPDX-License-Identifier: MIT
#include "become.h"

#include "config.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <vis.h>

const char *shown(const char *text)
{
	int error = errno;
	char *visible;

	if (stravis(&visible, text, VIS_OCTAL | VIS_NL | VIS_TAB) == -1)
		visible = "?";
	errno = error;
	return visible;
}

// A script without "#!" is the shell's, as for execvp(3); a broken binary is nobody's.
static bool is_script(const char *file)
{
	char start[128];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd == -1 ? -1 : read(fd, start, sizeof(start));

	if (fd != -1)
		(void)close(fd);
	return length >= 0 && !memchr(start, '\0', (size_t)length) && !(length >= 4 && memcmp(start, "\177ELF", 4) == 0);
}

void become(const char *file, char **command)
{
	execv(file, command);
	if (errno == ENOEXEC && is_script(file))
		execvp(file, command);
	err(errno == ENOENT ? CONFIG_EXIT_NOT_FOUND : CONFIG_EXIT_CANNOT_RUN, "%s", shown(command[0]));
}
