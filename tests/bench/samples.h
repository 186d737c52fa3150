// SPDX-License-Identifier: MIT
#ifndef EXLOCK_BENCH_SAMPLES_H
#define EXLOCK_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	uint64_t *values;
	size_t count, room;
};

// Adds VALUE; ends the program where there is no memory for it.
void samples_add(struct samples *samples, uint64_t value);

// Sorts them.
void samples_sort(struct samples *samples);

// The value that a SHARE of the sorted ones, 0 to 1, is not above; 0 if there are none.
uint64_t samples_at(const struct samples *samples, double share);

#endif
