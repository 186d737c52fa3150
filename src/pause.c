// SPDX-License-Identifier: MIT
#include "pause.h"

#include <stdbool.h>
#include <time.h>

// What passes between two looks at the clock, by and large.
#define LOOK_NS 500000u

static uint64_t last;
static bool is_guessed;

void pause_us(uint32_t microseconds)
{
	struct timespec time = { .tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000L };

	(void)nanosleep(&time, NULL);
}

uint64_t pause_clock(void)
{
	struct timespec now;

	is_guessed = clock_gettime(CLOCK_MONOTONIC, &now) == -1;
	last = is_guessed ? last + LOOK_NS : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return last;
}

void pause_passed(uint64_t nanoseconds)
{
	if (is_guessed)
		last += nanoseconds;
}
