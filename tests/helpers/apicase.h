// SPDX-License-Identifier: MIT
// What the programs that try the C API have in common.
#ifndef APICASE_H
#define APICASE_H

#include "term.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Until SIGTERM.
static inline void stay(void)
{
	block_term();
	await_term();
}

static inline int say(const char *word)
{
	printf("%s %ld\n", word, (long)getpid());
	fflush(stdout);
	return 0;
}

// WHAT went wrong, by errno.
static inline int fail(const char *what)
{
	printf("%s: %s\n", what, strerrorname_np(errno));
	fflush(stdout);
	_exit(3);
}

static inline int count_threads(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	int count = 0;

	while (status && fgets(line, sizeof(line), status))
		(void)sscanf(line, "Threads: %d", &count);
	if (status)
		fclose(status);
	return count;
}

#endif
