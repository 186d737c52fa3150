// SPDX-License-Identifier: MIT
#include "samples.h"

#include <err.h>
#include <stdlib.h>

void samples_add(struct samples *samples, uint64_t value)
{
	if (samples->count == samples->room) {
		size_t room = samples->room ? 2 * samples->room : 64;
		uint64_t *values = reallocarray(samples->values, room, sizeof(*values));

		if (!values)
			err(2, "samples");
		samples->values = values;
		samples->room = room;
	}
	samples->values[samples->count++] = value;
}

static int compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

void samples_sort(struct samples *samples)
{
	if (samples->count > 0)
		qsort(samples->values, samples->count, sizeof(*samples->values), compare);
}

uint64_t samples_at(const struct samples *samples, double share)
{
	if (samples->count == 0)
		return 0;
	return samples->values[(size_t)(share * (double)(samples->count - 1) + 0.5)];
}
