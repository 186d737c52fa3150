// SPDX-License-Identifier: MIT
// For helpers that run until SIGTERM: blocked first, then waited for, so that none is lost in between.
#ifndef TERM_H
#define TERM_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void block_term(void)
{
	sigset_t end;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
}

static inline void await_term(void)
{
	sigset_t end;
	int signal;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigwait(&end, &signal);
}

// Tells a test that polls FILE that this process is ready; for programs that have no standard output.
static inline void write_pid(const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
		_exit(99);
	close(fd);
}

#endif
