// SPDX-License-Identifier: MIT
// The cluster's lock: the recipe of etcd's own package "concurrency", so that `etcdctl lock` excludes and is excluded. A key under a
// lease, PREFIX NAME/LEASE; whose was created first holds the lock, the others wait for the one before them to go.
#ifndef EXLOCK_CLUSTERLOCK_H
#define EXLOCK_CLUSTERLOCK_H

#include "etcdclient.h"
#include "lease.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// A renewal that a member of etcd has answered. It counts once a majority stands behind it: see clusterlease_confirm().
struct renewal {
	uint64_t term;			// of the member; 0: none is to be confirmed
	uint64_t ttl;
	uint64_t sent;
};

struct clusterlock {
	struct etcd *etcd;
	unsigned ttl;			// to be asked for
	struct etcd_bytes queue;	// what all keys begin with
	struct etcd_bytes value;	// of our own
	struct etcd_bytes key;
	struct etcd_bytes outer;	// the lease of a lock that this process has already, in hexadecimal
	struct lease lease;		// with an id of 0: none
	struct renewal renewal;		// the last one that etcd has answered
	uint64_t again;			// not to be renewed before
	uint64_t fence;			// the revision that created the key, once it holds
	uint64_t watched;		// when a watch on the key was begun last
	struct etcd_entry holder;	// who does, where another one does
	bool waits;			// it has had a place in the queue
	bool unreachable;		// what went wrong: no member did what was asked for
	const char *why;		// what went wrong, where something did
};

enum clusterlock_result {
	CLUSTERLOCK_TAKEN,
	CLUSTERLOCK_HELD,		// by another one
	CLUSTERLOCK_OUT_OF_QUEUE,	// it has lost its place
	CLUSTERLOCK_FAILED,		// see why
	CLUSTERLOCK_INTERRUPTED,
};

// Takes the lock; waits for it until DEADLINE (lease_clock), in the order in which all came, or with a DEADLINE of 0 does not.
// OUT_OF_QUEUE: the lease of one that waits has ended, or no member of etcd answers any more. To be called again: it takes a new place
// then. Once it has had a place, it waits through an outage of any length.
enum clusterlock_result clusterlock_take(struct clusterlock *lock, uint64_t deadline);

// Whether it is held, and by what this process has already: it would wait for itself.
bool clusterlock_is_outer(const struct clusterlock *lock);

// Renews the lease, and makes sure that the key still is there. False: the lease or the key is gone. If etcd does not answer, the lease is
// as old as before and the key counts as there.
bool clusterlock_keep(struct clusterlock *lock);

// When the lease is to be renewed.
uint64_t clusterlock_due(const struct clusterlock *lock);

// Leaves the key behind with VALUE, under a lease of its own that ends by itself after SECONDS; in a bounded time. False: see why; the key goes with
// the lock's own lease, which is left to end as well. What there is besides is to be given back.
bool clusterlock_leave_key(struct clusterlock *lock, unsigned seconds, const struct etcd_bytes *value);

// Gives back what there is, in a bounded time.
void clusterlock_give_back(struct clusterlock *lock);

#endif
