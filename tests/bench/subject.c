// SPDX-License-Identifier: MIT
// subject [-w] [-m BYTES] [-t THREADS] [-d DESCRIPTORS]: the program that is guarded. It says in the stamps when its main began; touches so
// much memory, starts so many threads, opens so many descriptors; waits, with -w, until it may leave; and says so when it is about to.
#include "clock.h"
#include "stamps.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096

static void *sleep_on(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

// Of small pages: how many there are is what an exit pays for.
static void touch(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "memory");
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < bytes; at += PAGE)
		((volatile char *)memory)[at] = 1;
}

static void start_threads(long count)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
	while (count-- > 0)
		if (pthread_create(&thread, &attributes, sleep_on, NULL) != 0)
			errx(2, "threads");
	pthread_attr_destroy(&attributes);
}

static void open_descriptors(long count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		err(2, "limit");
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	while (count-- > 0)
		if (open("/dev/null", O_RDONLY) == -1)
			err(2, "descriptors");
}

int main(int argc, char **argv)
{
	uint64_t begun = clock_now();
	struct stamps *stamps = stamps_find();
	struct stamp *stamp;
	int option, waits = 0;

	if (!stamps)
		errx(2, "no stamps");
	stamp = stamps_begin(stamps, begun);
	while ((option = getopt(argc, argv, "wm:t:d:")) != -1) {
		if (option == 'w')
			waits = 1;
		else if (option == 'm')
			touch((size_t)atoll(optarg));
		else if (option == 't')
			start_threads(atol(optarg));
		else if (option == 'd')
			open_descriptors(atol(optarg));
		else
			return 2;
	}
	if (waits)
		stamps_wait(stamps);
	stamps_end(stamps, stamp);
	return 0;
}
