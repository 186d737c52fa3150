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

// Asks for a LEASE of SECONDS, until END.
enum clusterlock_result clusterlease_grant(struct clusterlock *lock, unsigned seconds, uint64_t end, struct lease *lease);

enum renewed { RENEWED, RENEWED_LATER, RENEWED_GONE };

// Asks for a renewal of the lease, until the lease is over. RENEWED: a member has answered; clusterlease_confirm() makes it count. LATER: it
// was refused, which may pass.
enum renewed clusterlease_renew(struct clusterlock *lock);

// Makes the last renewal count if ANSWER, to a linearizable request that was sent after it, has the same raft term. ANSWER need not be from
// the member that has renewed.
//
// A renewal alone proves nothing. etcd before 3.4.31 and 3.5.13 answers it from the memory of one process: a leader whose disk hangs goes on
// renewing while the others have elected a new leader, which lets the lease end (etcd issue 15247). The terms tell:
// 1. The member that is asked for the renewal fills in term T, and then renews at the leader that it knows. It has applied an entry of
//    T, so that is the leader of T or a later one.
// 2. The read is answered after a majority has confirmed the leader. The member that answers it has applied all that this leader has committed, its first
//    entry included, and fills in its term only then.
// 3. If that is T as well, the leader of T was still the leader after the renewal: it has the renewal, and whichever leader follows starts
//    the lease anew.
// With another term nothing is known, and the renewal is repeated.
void clusterlease_confirm(struct clusterlock *lock, const json_t *answer);

// When it is over.
uint64_t clusterlease_end(const struct clusterlock *lock);

// Gives it back, and all that is under it, in a bounded time. There is none from then on.
enum etcd_result clusterlease_revoke(struct clusterlock *lock);

#endif
