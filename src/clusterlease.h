// SPDX-License-Identifier: MIT
// The lease that a cluster's lock is under, as etcd has it. Of clusterlock.c's own.
#ifndef EXLOCK_CLUSTERLEASE_H
#define EXLOCK_CLUSTERLEASE_H

#include "clusterlock.h"

// The lock has failed, by WHY; and what a request that was not done means for it, or one (DONE) whose answer cannot be understood.
enum clusterlock_result clusterlock_fail(struct clusterlock *lock, const char *why);
enum clusterlock_result clusterlock_not_done(struct clusterlock *lock, enum etcd_result result);

// How long one member may take at a start.
#define CLUSTERLOCK_TRY (3 * LEASE_SECOND / 2)

// Asks for a lease and chooses the key under it, until END.
enum clusterlock_result clusterlease_grant(struct clusterlock *lock, uint64_t end);

enum renewal { RENEWED, RENEWAL_LATER, RENEWAL_GONE };

// Renews the lease, trying until it is over. LATER: it was refused, which may pass.
enum renewal clusterlease_renew(struct clusterlock *lock);

// When it is over.
uint64_t clusterlease_end(const struct clusterlock *lock);

// Gives it back, and all that is under it, in a bounded time. There is none from then on.
enum etcd_result clusterlease_revoke(struct clusterlock *lock);

#endif
