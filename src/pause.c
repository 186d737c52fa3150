// SPDX-License-Identifier: MIT
#include "pause.h"

#include <time.h>

void pause_us(uint32_t microseconds)
{
	struct timespec time = { .tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000L };

	(void)nanosleep(&time, NULL);
}

uint64_t pause_clock(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
