// SPDX-License-Identifier: MIT
#include "clusterlease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// How long the end looks for a member that does what is asked for, and how long one may take.
#define END_TIME (2 * LEASE_SECOND)
#define END_TRY (3 * LEASE_SECOND / 4)

enum clusterlock_result clusterlock_fail(struct clusterlock *lock, const char *why)
{
	lock->why = why;
	return CLUSTERLOCK_FAILED;
}

enum clusterlock_result clusterlock_not_done(struct clusterlock *lock, enum etcd_result result)
{
	const char *complaint;

	if (result == ETCD_INTERRUPTED)
		return CLUSTERLOCK_INTERRUPTED;
	complaint = etcd_complaint(lock->etcd);
	return clusterlock_fail(lock, result == ETCD_DONE || !complaint[0] ? ETCD_STRANGE : complaint);
}

// The ID is our own choice: so a grant whose answer was lost is known again.
static bool choose_key(struct clusterlock *lock, uint64_t *id)
{
	char *key;
	int length;

	if (getrandom(id, sizeof(*id), 0) != (ssize_t)sizeof(*id))
		return false;
	*id = (*id & INT64_MAX) | 1;
	etcd_bytes_free(&lock->key);
	length = asprintf(&key, "%*s%" PRIx64, (int)lock->queue.length, "", *id);
	if (length == -1)
		return false;
	memcpy(key, lock->queue.bytes, lock->queue.length);	// NOLINT(bugprone-not-null-terminated-result): the ID follows
	lock->key = (struct etcd_bytes){ key, (size_t)length };
	return true;
}

// What an answer says that grants or renews the lease ID. False: there is none.
static bool take_lease(struct clusterlock *lock, uint64_t id, const struct etcd_answer *answer)
{
	uint64_t seconds;

	if (!etcd_read_ttl(answer->body, &seconds) || seconds == 0 || seconds > UINT32_MAX)
		return false;
	lock->lease = (struct lease){ .id = id, .ttl = seconds * LEASE_SECOND, .sent = answer->sent };
	return true;
}

enum clusterlock_result clusterlease_grant(struct clusterlock *lock, uint64_t end)
{
	struct etcd_answer answer;
	enum etcd_result result;
	bool granted;
	uint64_t id;

	lock->lease.id = 0;
	if (!choose_key(lock, &id))
		return clusterlock_fail(lock, "no memory");
	result = etcd_call(lock->etcd, "lease/grant", etcd_ask_grant(id, lock->ttl), end, CLUSTERLOCK_TRY, &answer);
	// Granted by a try before, whose answer was lost.
	if (result == ETCD_REFUSED && answer.code == ETCD_CODE_PRECONDITION && answer.repeated) {
		json_decref(answer.body);
		result = etcd_call(lock->etcd, "lease/keepalive", etcd_ask_lease(id), end, CLUSTERLOCK_TRY, &answer);
	}
	granted = result == ETCD_DONE && take_lease(lock, id, &answer);
	json_decref(answer.body);
	if (granted)
		return CLUSTERLOCK_TAKEN;
	return clusterlock_not_done(lock, result);
}

uint64_t clusterlease_end(const struct clusterlock *lock)
{
	return lease_begin(&lock->lease, LEASE_OVER);
}

enum renewal clusterlease_renew(struct clusterlock *lock)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "lease/keepalive", etcd_ask_lease(lock->lease.id), clusterlease_end(lock),
					    lease_try(&lock->lease), &answer);
	enum renewal renewal = RENEWAL_LATER;
	uint64_t seconds;

	if (result == ETCD_DONE && take_lease(lock, lock->lease.id, &answer))
		renewal = RENEWED;
	else if (result == ETCD_DONE && etcd_read_ttl(answer.body, &seconds) && seconds == 0)
		renewal = RENEWAL_GONE;
	// What is refused at once is not to be asked for without end.
	if (renewal == RENEWAL_LATER)
		lock->again = lease_clock() + lease_try(&lock->lease);
	json_decref(answer.body);
	return renewal;
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
