// SPDX-License-Identifier: MIT
// What the storm's driver and the program that it starts count together, in one file that both map.
#ifndef STORM_H
#define STORM_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SLOTS = 8,
	REFUSED = 77,
	OVERLAPPED = 9,
	BROKEN = 99,
};

struct tally {
	atomic_ulong launches, wins, refusals, kills, overlaps, errors, lost;
	// The last winner and what it was last seen to begin, for the words about an overlap.
	atomic_long winner;
	atomic_int step;
	atomic_bool daemon, second_thread;
	// Set by the program: the start in this slot has reached main.
	atomic_bool won[SLOTS];
};

static inline struct tally *map_tally(const char *folder)
{
	char path[4096];
	struct tally *mapped;
	int fd;

	snprintf(path, sizeof path, "%s/tally", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *mapped) < 0)
		_exit(BROKEN);
	mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		_exit(BROKEN);
	close(fd);
	return mapped;
}

#endif
