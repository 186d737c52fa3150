// SPDX-License-Identifier: MIT
#include "lease.h"

#include <time.h>

#define TRY_MIN (LEASE_SECOND / 4)
#define TRY_MAX (LEASE_SECOND * 3 / 2)
// What killing takes, on a machine that is busy.
#define MARGIN_MIN (LEASE_SECOND / 2)

uint64_t lease_clock(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * LEASE_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t lease_begin(const struct lease *lease, enum lease_phase phase)
{
	uint64_t margin = lease->ttl / 8 > MARGIN_MIN ? lease->ttl / 8 : MARGIN_MIN;

	if (phase == LEASE_DUE)
		return lease->sent + lease->ttl / 4;
	if (phase == LEASE_LATE)
		return lease->sent + lease->ttl * 2 / 3;
	return phase == LEASE_OVER ? lease->sent + (margin < lease->ttl ? lease->ttl - margin : 0) : lease->sent;
}

enum lease_phase lease_phase(const struct lease *lease, uint64_t now)
{
	enum lease_phase phase = LEASE_OVER;

	while (phase > LEASE_FRESH && now < lease_begin(lease, phase))
		phase--;
	return phase;
}

void lease_end(struct lease *lease)
{
	lease->sent = 0;
	// With a time to live it would be over only that long after the machine's start.
	lease->ttl = 0;
}

uint64_t lease_try(const struct lease *lease)
{
	uint64_t time = lease->ttl / 10;

	if (time < TRY_MIN)
		return TRY_MIN;
	return time > TRY_MAX ? TRY_MAX : time;
}
