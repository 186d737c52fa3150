// SPDX-License-Identifier: MIT
// Waits until the lock is free, or until somebody writes to standard input.
#include <errno.h>
#include <exclusivelock.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

// Returns 1 if the lock may be free; 0: something else came first.
static int await(const char *name)
{
	struct pollfd files[] = { { .fd = exclusivelock_watch(name, NULL), .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	int result = files[0].fd != -1 && poll(files, 2, -1) > 0 && files[0].revents;

	close(files[0].fd);
	return result;
}

int main(void)
{
	exclusivelock *lock;

	while (!(lock = exclusivelock_try("nightly")))
		if (errno != EWOULDBLOCK || !await("nightly"))
			return 1;
	puts("my turn");
	exclusivelock_release(lock);
	return 0;
}
