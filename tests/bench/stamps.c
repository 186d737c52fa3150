// SPDX-License-Identifier: MIT
#include "stamps.h"

#include "clock.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct stamps *map(int fd)
{
	void *memory = mmap(NULL, sizeof(struct stamps), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

struct stamps *stamps_create(void)
{
	int fd = memfd_create("stamps", MFD_CLOEXEC);
	struct stamps *stamps;
	char path[64];

	if (fd == -1 || ftruncate(fd, sizeof(struct stamps)) == -1 || !(stamps = map(fd)))
		err(2, "shared memory");
	snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)getpid(), fd);
	if (setenv(STAMPS_VARIABLE, path, 1) == -1)
		err(2, "environment");
	return stamps;
}

void stamps_clear(struct stamps *stamps)
{
	int used = stamps->count < STAMPS_MAX ? stamps->count : STAMPS_MAX;

	memset(stamps->entries, 0, (size_t)used * sizeof(*stamps->entries));
	stamps->inside = stamps->most = stamps->count = stamps->waiting = 0;
	stamps->go = 0;
}

const struct stamp *stamps_of(const struct stamps *stamps, pid_t pid)
{
	for (int i = 0; i < stamps->count && i < STAMPS_MAX; i++)
		if (stamps->entries[i].pid == pid || stamps->entries[i].parent == pid)
			return &stamps->entries[i];
	return NULL;
}

struct stamps *stamps_find(void)
{
	const char *path = getenv(STAMPS_VARIABLE);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct stamps *stamps;

	if (fd == -1)
		return NULL;
	stamps = map(fd);
	close(fd);
	return stamps;
}

struct stamp *stamps_begin(struct stamps *stamps, uint64_t begun)
{
	int inside = atomic_fetch_add(&stamps->inside, 1) + 1;
	int most = stamps->most;
	int number;
	struct stamp *stamp;

	while (inside > most && !atomic_compare_exchange_weak(&stamps->most, &most, inside))
		;
	number = atomic_fetch_add(&stamps->count, 1);
	if (number >= STAMPS_MAX)
		return NULL;
	stamp = &stamps->entries[number];
	stamp->pid = getpid();
	stamp->parent = getppid();
	stamp->begun = begun;
	return stamp;
}

void stamps_end(struct stamps *stamps, struct stamp *stamp)
{
	atomic_fetch_sub(&stamps->inside, 1);
	if (stamp)
		stamp->ended = clock_now();
}

void stamps_wait(struct stamps *stamps)
{
	atomic_fetch_add(&stamps->waiting, 1);
	while (!stamps->go)
		syscall(SYS_futex, &stamps->go, FUTEX_WAIT, 0, NULL, NULL, 0);
}

void stamps_go(struct stamps *stamps)
{
	stamps->go = 1;
	syscall(SYS_futex, &stamps->go, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
