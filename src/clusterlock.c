// SPDX-License-Identifier: MIT
#include "clusterlock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// How long a start looks for a member that does what is asked for, and how long one may take.
#define START_TIME (6 * LEASE_SECOND)
#define START_TRY (3 * LEASE_SECOND / 2)
// How long the end does.
#define END_TIME (2 * LEASE_SECOND)
#define END_TRY (3 * LEASE_SECOND / 4)
#define PAUSE (LEASE_SECOND / 100)
#define WATCH_AGAIN LEASE_SECOND
#define NO_MEMORY "no memory"
#define STRANGE "etcd's answer cannot be understood"

static enum clusterlock_result fail(struct clusterlock *lock, const char *why)
{
	lock->why = why;
	return CLUSTERLOCK_FAILED;
}

// What a request that was not done means for the lock.
static enum clusterlock_result not_done(struct clusterlock *lock, enum etcd_result result)
{
	return result == ETCD_INTERRUPTED ? CLUSTERLOCK_INTERRUPTED : fail(lock, etcd_complaint(lock->etcd));
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

static enum clusterlock_result grant(struct clusterlock *lock, uint64_t end)
{
	struct etcd_answer answer;
	enum etcd_result result;
	bool granted;
	uint64_t id;

	lock->lease.id = 0;
	if (!choose_key(lock, &id))
		return fail(lock, NO_MEMORY);
	result = etcd_call(lock->etcd, "lease/grant", etcd_ask_grant(id, lock->ttl), end, START_TRY, &answer);
	// Granted by a try before, whose answer was lost.
	if (result == ETCD_REFUSED && answer.code == ETCD_CODE_PRECONDITION && answer.repeated) {
		json_decref(answer.body);
		result = etcd_call(lock->etcd, "lease/keepalive", etcd_ask_lease(id), end, START_TRY, &answer);
	}
	granted = result == ETCD_DONE && take_lease(lock, id, &answer);
	json_decref(answer.body);
	if (granted)
		return CLUSTERLOCK_TAKEN;
	return result == ETCD_DONE ? fail(lock, STRANGE) : not_done(lock, result);
}

static void remember_holder(struct clusterlock *lock, const struct etcd_entry *first)
{
	etcd_entry_free(&lock->holder);
	lock->holder = *first;
}

static bool is_own(const struct clusterlock *lock, const struct etcd_entry *entry)
{
	return entry->created && entry->key.length == lock->key.length && memcmp(entry->key.bytes, lock->key.bytes, lock->key.length) == 0;
}

// Puts our key into the queue; TRY: only if that is empty. OWN and REVISION as the answer has them.
static enum clusterlock_result enter(struct clusterlock *lock, bool try, uint64_t end, struct etcd_queue *queue)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "kv/txn", etcd_ask_entry(&lock->queue, &lock->key, &lock->value, lock->lease.id, try),
					    end, START_TRY, &answer);
	bool understood = result == ETCD_DONE && etcd_read_queue(answer.body, queue);

	json_decref(answer.body);
	if (!understood)
		return result == ETCD_DONE ? fail(lock, STRANGE) : not_done(lock, result);
	remember_holder(lock, &queue->first);
	if (queue->own && (is_own(lock, &lock->holder) || !lock->holder.created)) {
		lock->fence = queue->own;
		return CLUSTERLOCK_TAKEN;
	}
	return CLUSTERLOCK_HELD;
}

static enum etcd_result look(struct clusterlock *lock, json_t *request, uint64_t end, struct etcd_entry *entry, uint64_t *revision)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "kv/range", request, end, lease_try(&lock->lease), &answer);

	if (result == ETCD_DONE && !etcd_read_first(answer.body, entry, revision))
		result = ETCD_UNREACHABLE;
	json_decref(answer.body);
	return result;
}

static uint64_t lease_end(const struct clusterlock *lock)
{
	return lease_begin(&lock->lease, LEASE_OVER);
}

enum renewal { RENEWED, RENEWAL_LATER, RENEWAL_GONE };

static enum renewal renew_lease(struct clusterlock *lock)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "lease/keepalive", etcd_ask_lease(lock->lease.id), lease_end(lock),
					    lease_try(&lock->lease), &answer);
	enum renewal renewal = RENEWAL_LATER;
	uint64_t seconds;

	if (result == ETCD_DONE && take_lease(lock, lock->lease.id, &answer))
		renewal = RENEWED;
	else if (result == ETCD_DONE && etcd_read_ttl(answer.body, &seconds) && seconds == 0)
		renewal = RENEWAL_GONE;
	json_decref(answer.body);
	return renewal;
}

// Our key is gone: somebody has deleted it. To the end of the queue, where OWN is the new place.
static enum clusterlock_result enter_again(struct clusterlock *lock, uint64_t *own)
{
	struct etcd_queue queue = { .own = *own };
	enum clusterlock_result result = enter(lock, false, lease_end(lock), &queue);

	*own = queue.own;
	return result;
}

// Renews the lease where that is due. HELD: it is not known to be gone.
static enum clusterlock_result keep_lease(struct clusterlock *lock)
{
	if (lease_phase(&lock->lease, lease_clock()) == LEASE_FRESH || renew_lease(lock) != RENEWAL_GONE)
		return CLUSTERLOCK_HELD;
	lock->lease.sent = 0;
	return fail(lock, "the lease ended while this waited for the lock");
}

// Sleeps until KEY, of whoever is before us, has changed after REVISION, and renews the lease meanwhile. For the time of a lease at most: a
// watch may be dead without a word.
static enum clusterlock_result await_change(struct clusterlock *lock, const struct etcd_bytes *key, uint64_t revision, uint64_t deadline)
{
	uint64_t last = lease_clock() + lock->lease.ttl, end = last < deadline ? last : deadline;
	enum clusterlock_result result = CLUSTERLOCK_HELD;

	etcd_watch(lock->etcd, etcd_ask_watch(key, revision));
	while (result == CLUSTERLOCK_HELD && !etcd_watch_is_over(lock->etcd) && lease_clock() < end) {
		uint64_t due = lease_begin(&lock->lease, LEASE_DUE);

		if (!etcd_sleep(lock->etcd, due < end ? due : end))
			return CLUSTERLOCK_INTERRUPTED;
		result = keep_lease(lock);
	}
	return result;
}

// Whose turn it is. FIRST: it was to be ours, at the place OWN, for there is nobody before us.
static enum clusterlock_result look_for_turn(struct clusterlock *lock, uint64_t *own, bool first)
{
	struct etcd_entry entry;
	uint64_t revision;
	enum etcd_result result = look(lock, etcd_ask_first(&lock->queue), lease_end(lock), &entry, &revision);

	if (result != ETCD_DONE)
		return not_done(lock, result);
	remember_holder(lock, &entry);
	if (first && !is_own(lock, &lock->holder))
		return enter_again(lock, own);
	if (!is_own(lock, &lock->holder) || lock->holder.created != *own || lease_phase(&lock->lease, lease_clock()) != LEASE_FRESH)
		return CLUSTERLOCK_HELD;
	lock->fence = *own;
	return CLUSTERLOCK_TAKEN;
}

// One turn in the queue, where our place is OWN: sleeps until whoever is before us goes, and sees whether that makes us the first. HELD: it
// does not yet.
static enum clusterlock_result wait_in_queue(struct clusterlock *lock, uint64_t *own, uint64_t deadline)
{
	struct etcd_entry before;
	uint64_t revision;
	enum etcd_result looked = look(lock, etcd_ask_predecessor(&lock->queue, *own), lease_end(lock), &before, &revision);
	enum clusterlock_result result;
	bool first;

	if (looked != ETCD_DONE)
		return not_done(lock, looked);
	first = !before.created;
	result = first ? keep_lease(lock) : await_change(lock, &before.key, revision, deadline);
	etcd_entry_free(&before);
	return result == CLUSTERLOCK_HELD ? look_for_turn(lock, own, first) : result;
}

static enum clusterlock_result wait_for_turn(struct clusterlock *lock, uint64_t own, uint64_t deadline)
{
	enum clusterlock_result result = CLUSTERLOCK_HELD;

	while (result == CLUSTERLOCK_HELD && lease_clock() < deadline) {
		result = wait_in_queue(lock, &own, deadline);
		// A member whose watches break off at once is not to be asked without end.
		if (result == CLUSTERLOCK_HELD && !etcd_sleep(lock->etcd, lease_clock() + PAUSE))
			result = CLUSTERLOCK_INTERRUPTED;
	}
	etcd_watch(lock->etcd, NULL);
	return result;
}

static bool lease_is_over(const struct clusterlock *lock)
{
	return lock->lease.id && lease_phase(&lock->lease, lease_clock()) == LEASE_OVER;
}

static void watch_key(struct clusterlock *lock, uint64_t revision)
{
	etcd_watch(lock->etcd, etcd_ask_watch(&lock->key, revision));
	lock->watched = lease_clock();
}

static enum clusterlock_result take_once(struct clusterlock *lock, uint64_t deadline)
{
	uint64_t end = lease_clock() + START_TIME;
	enum clusterlock_result result = grant(lock, end);
	struct etcd_queue queue = { .own = 0 };

	if (result == CLUSTERLOCK_TAKEN)
		result = enter(lock, deadline == 0, end, &queue);
	if (result == CLUSTERLOCK_HELD && deadline)
		result = wait_for_turn(lock, queue.own, deadline);
	if (result == CLUSTERLOCK_TAKEN)
		watch_key(lock, lock->fence);
	return result;
}

enum clusterlock_result clusterlock_take(struct clusterlock *lock, uint64_t deadline)
{
	enum clusterlock_result result;

	// Whose lease ends while it waits, the machine asleep or cut off, goes to the end of the queue.
	do {
		result = take_once(lock, deadline);
	} while ((result == CLUSTERLOCK_FAILED || result == CLUSTERLOCK_INTERRUPTED) && lease_is_over(lock));
	return result;
}

bool clusterlock_renew(struct clusterlock *lock)
{
	struct etcd_entry first;
	uint64_t revision, now = lease_clock();
	bool there = true;

	if (renew_lease(lock) == RENEWAL_GONE) {
		lock->why = "etcd has ended the lease";
		return false;
	}
	if (etcd_watch_is_over(lock->etcd) &&
	    look(lock, etcd_ask_first(&lock->queue), lease_end(lock), &first, &revision) == ETCD_DONE) {
		there = is_own(lock, &first) && first.created == lock->fence;
		etcd_entry_free(&first);
		// One that breaks off again and again has to wait for the next renewal.
		if (there && now >= lock->watched + WATCH_AGAIN)
			watch_key(lock, revision);
		else
			etcd_watch(lock->etcd, NULL);
	}
	if (!there)
		lock->why = "somebody has deleted the lock's key";
	return there;
}

void clusterlock_give_back(struct clusterlock *lock)
{
	struct etcd_answer answer;

	etcd_watch(lock->etcd, NULL);
	if (!lock->lease.id)
		return;
	(void)etcd_call(lock->etcd, "lease/revoke", etcd_ask_lease(lock->lease.id), lease_clock() + END_TIME, END_TRY, &answer);
	json_decref(answer.body);
	lock->lease.id = 0;
}
