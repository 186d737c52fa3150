// SPDX-License-Identifier: MIT
#include "pause.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

// What passes between two looks at the clock, by and large.
#define LOOK_NS 500000u

// Threads may look at the same time.
static _Atomic uint64_t last;
static _Atomic bool is_guessed;

void pause_us(uint32_t microseconds)
{
	struct timespec time = { .tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000L };

	(void)nanosleep(&time, NULL);
}

uint64_t pause_clock(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) == 0) {
		uint64_t time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;

		atomic_store_explicit(&last, time, memory_order_relaxed);
		return time;
	}
	atomic_store_explicit(&is_guessed, true, memory_order_relaxed);
	return atomic_fetch_add_explicit(&last, LOOK_NS, memory_order_relaxed) + LOOK_NS;
}

void pause_passed(uint64_t nanoseconds)
{
	if (atomic_load_explicit(&is_guessed, memory_order_relaxed))
		(void)atomic_fetch_add_explicit(&last, nanoseconds, memory_order_relaxed);
}
