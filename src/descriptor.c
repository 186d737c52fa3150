// SPDX-License-Identifier: MIT
#include "descriptor.h"

#include <fcntl.h>
#include <unistd.h>

static int move(int fd, int lowest, int command)
{
	int copy = fcntl(fd, command, lowest);

	if (copy != -1)
		(void)close(fd);
	return copy;
}

int descriptor_move_up(int fd)
{
	int copy = fd > STDERR_FILENO ? -1 : move(fd, STDERR_FILENO + 1, F_DUPFD_CLOEXEC);

	return copy == -1 ? fd : copy;
}

int descriptor_move_aside(int fd)
{
	// In every process' first table of descriptors: threads that share one would all be waited for before a larger one is used.
	int copy = fd >= DESCRIPTOR_ASIDE ? -1 : move(fd, DESCRIPTOR_ASIDE, F_DUPFD_CLOEXEC);

	return copy == -1 ? descriptor_move_up(fd) : copy;
}

int descriptor_copy_high(int fd, bool inheritable)
{
	// The usual soft limit is 1024; a table that reaches no further than that costs next to nothing.
	static const int lowest[] = { DESCRIPTOR_HIGH, 200, DESCRIPTOR_ASIDE };
	int copy = -1;

	for (unsigned i = 0; copy == -1 && i < sizeof(lowest) / sizeof(*lowest); i++)
		copy = fcntl(fd, inheritable ? F_DUPFD : F_DUPFD_CLOEXEC, lowest[i]);
	return copy;
}

int descriptor_move_high(int fd, bool inheritable)
{
	int copy = descriptor_copy_high(fd, inheritable);

	if (copy != -1) {
		(void)close(fd);
		return copy;
	}
	if (inheritable)
		(void)fcntl(fd, F_SETFD, 0);
	return descriptor_move_up(fd);
}
