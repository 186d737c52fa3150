// SPDX-License-Identifier: MIT
#include "waiting.h"

#include "clock.h"

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS UINT64_C(20000000000)
#define LOOK_AGAIN_US 200

// "3: -> FLOCK  ADVISORY  WRITE 27922 00:1b:17074 0 EOF", where a waiter that others wait behind has them further to the right.
static bool is_waiter(const char *line, pid_t pid)
{
	const char *arrow = strstr(line, "->");
	int found;

	return arrow && sscanf(arrow + 2, "%*s %*s %*s %d", &found) == 1 && found == pid;
}

static bool waits(pid_t pid)
{
	FILE *list = fopen("/proc/locks", "re");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	if (!list)
		err(2, "/proc/locks");
	while (!found && getline(&line, &room, list) > 0)
		found = is_waiter(line, pid);
	free(line);
	fclose(list);
	return found;
}

void waiting_await(pid_t pid, const char *label)
{
	uint64_t end = clock_now() + PATIENCE_NS;

	while (!waits(pid)) {
		if (clock_now() > end)
			errx(2, "%s: does not wait", label);
		usleep(LOOK_AGAIN_US);
	}
}
