// SPDX-License-Identifier: MIT
#ifndef EXLOCK_BENCH_CLOCK_H
#define EXLOCK_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

// Nanoseconds on a clock that all processes have in common.
static inline uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif
