// SPDX-License-Identifier: MIT
#include "clusterlease.h"

#include <sys/random.h>

// How long the end looks for a member that does what is asked for, and how long one may take.
#define END_TIME (2 * LEASE_SECOND)
#define END_TRY (3 * LEASE_SECOND / 4)
// Between a renewal that fell into a change of the leader and the next one.
#define PAUSE (LEASE_SECOND / 20)

enum clusterlock_result clusterlock_fail(struct clusterlock *lock, const char *why)
{
	lock->why = why;
	lock->unreachable = false;
	return CLUSTERLOCK_FAILED;
}

enum clusterlock_result clusterlock_not_done(struct clusterlock *lock, enum etcd_result result)
{
	const char *complaint;

	if (result == ETCD_INTERRUPTED)
		return CLUSTERLOCK_INTERRUPTED;
	complaint = etcd_complaint(lock->etcd);
	(void)clusterlock_fail(lock, result == ETCD_DONE || !complaint[0] ? ETCD_STRANGE : complaint);
	lock->unreachable = result == ETCD_UNREACHABLE;
	return CLUSTERLOCK_FAILED;
}

// How long the lease is that ANSWER grants or renews, in nanoseconds; 0: there is none.
static uint64_t read_ttl(const json_t *answer)
{
	uint64_t seconds;

	return etcd_read_ttl(answer, &seconds) && seconds <= UINT32_MAX ? seconds * LEASE_SECOND : 0;
}

// The ID is our own choice: so a grant whose answer was lost is known again.
static bool choose_id(uint64_t *id)
{
	if (getrandom(id, sizeof(*id), 0) != (ssize_t)sizeof(*id))
		return false;
	*id = (*id & INT64_MAX) | 1;
	return true;
}

enum clusterlock_result clusterlease_grant(struct clusterlock *lock, unsigned seconds, uint64_t end, struct lease *lease)
{
	struct etcd_answer answer;
	enum etcd_result result;
	uint64_t id, ttl, began = lease_clock();

	if (!choose_id(&id))
		return clusterlock_fail(lock, "no random number");
	result = etcd_call(lock->etcd, "lease/grant", etcd_ask_grant(id, seconds), end, CLUSTERLOCK_TRY, &answer);
	ttl = result == ETCD_DONE ? read_ttl(answer.body) : 0;
	json_decref(answer.body);
	// "lease already exists": an earlier try was granted, and its answer lost. It may have been curl's own, on a connection that was used before and
	// that the member has closed. etcd grants at least what was asked for.
	if (result == ETCD_REFUSED && answer.code == ETCD_CODE_PRECONDITION) {
		ttl = seconds * LEASE_SECOND;
		answer.sent = began;
	}
	if (!ttl)
		return clusterlock_not_done(lock, result);
	*lease = (struct lease){ .id = id, .ttl = ttl, .sent = answer.sent };
	return CLUSTERLOCK_TAKEN;
}

uint64_t clusterlease_end(const struct clusterlock *lock)
{
	return lease_begin(&lock->lease, LEASE_OVER);
}

enum renewed clusterlease_renew(struct clusterlock *lock)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "lease/keepalive", etcd_ask_lease(lock->lease.id), clusterlease_end(lock),
					    lease_try(&lock->lease), &answer);
	enum renewed renewed = RENEWED_LATER;
	uint64_t seconds;

	lock->renewal = (struct renewal){ .sent = answer.sent };
	// What is refused at once, or not confirmed, is not to be asked for without end.
	lock->again = lease_clock() + lease_try(&lock->lease);
	if (result == ETCD_DONE && etcd_read_ttl(answer.body, &seconds)) {
		lock->renewal.ttl = read_ttl(answer.body);
		renewed = seconds == 0 ? RENEWED_GONE : RENEWED;
		if (!etcd_read_term(answer.body, &lock->renewal.term))
			renewed = RENEWED_LATER;
	}
	json_decref(answer.body);
	return renewed;
}

void clusterlease_confirm(struct clusterlock *lock, const json_t *answer)
{
	const struct renewal *renewal = &lock->renewal;
	uint64_t term;

	if (!renewal->term || !etcd_read_term(answer, &term))
		return;
	if (term == renewal->term) {
		lock->lease.ttl = renewal->ttl;
		lock->lease.sent = renewal->sent;
	}
	lock->again = term == renewal->term ? 0 : lease_clock() + PAUSE;
	lock->renewal.term = 0;
}

uint64_t clusterlock_due(const struct clusterlock *lock)
{
	uint64_t due = lease_begin(&lock->lease, LEASE_DUE);

	return due > lock->again ? due : lock->again;
}

enum etcd_result clusterlease_revoke(struct clusterlock *lock)
{
	json_t *request = etcd_ask_lease(lock->lease.id);
	struct etcd_answer answer;
	enum etcd_result result;

	// From here on its clock is no reason to end this.
	lock->lease.id = 0;
	result = etcd_call(lock->etcd, "lease/revoke", request, lease_clock() + END_TIME, END_TRY, &answer);
	json_decref(answer.body);
	return result;
}
