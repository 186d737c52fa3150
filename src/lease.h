// SPDX-License-Identifier: MIT
// The lease's clock, as strict as it has to be: counted from before each renewal was sent, so it always ends before etcd's own. All
// times are of CLOCK_BOOTTIME, which goes on while the machine sleeps, in nanoseconds.
#ifndef EXLOCK_LEASE_H
#define EXLOCK_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_SECOND UINT64_C(1000000000)
#define LEASE_TTL_DEFAULT 15
// etcd grants none that is shorter than one and a half times its election timeout, which is a second unless it is told otherwise.
#define LEASE_TTL_MIN 2
#define LEASE_TTL_MAX 86400

struct lease {
	uint64_t id;
	uint64_t ttl;		// as granted
	uint64_t sent;		// when the last grant or renewal that succeeded was sent
};

// What is to be done, at a time, for a lease that was not renewed since.
enum lease_phase {
	LEASE_FRESH,
	LEASE_DUE,		// renew it
	LEASE_LATE,		// ask the command to end
	LEASE_OVER,		// kill it
};

uint64_t lease_clock(void);

enum lease_phase lease_phase(const struct lease *lease, uint64_t now);

// When PHASE begins.
uint64_t lease_begin(const struct lease *lease, enum lease_phase phase);

// It has ended in etcd: LEASE_OVER from now on.
void lease_end(struct lease *lease);

// How long one try of a request may take, so that several fit between LEASE_DUE and LEASE_LATE.
uint64_t lease_try(const struct lease *lease);

#endif
