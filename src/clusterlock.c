// SPDX-License-Identifier: MIT
#include "clusterlease.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// How long a start looks for a member that does what is asked for.
#define START_TIME (6 * LEASE_SECOND)
#define PAUSE (LEASE_SECOND / 100)
#define WATCH_AGAIN LEASE_SECOND
// Keys in a queue.
#define SHORT_QUEUE 8
// Before a waiter that has lost its place asks for a new one.
#define REST (LEASE_SECOND / 4)
#define DELETED "somebody has deleted the lock's key"
#define TOO_SLOW "the lease was over before etcd had answered: it is slow, or the lease too short"

static void remember_holder(struct clusterlock *lock, const struct etcd_entry *first)
{
	etcd_entry_free(&lock->holder);
	lock->holder = *first;
}

static bool is_own(const struct clusterlock *lock, const struct etcd_entry *entry)
{
	return entry->created && entry->key.length == lock->key.length && memcmp(entry->key.bytes, lock->key.bytes, lock->key.length) == 0;
}

// A key without a lease never goes by itself: by the recipe all would wait for it without end.
static bool is_no_locks(const struct etcd_entry *entry)
{
	return entry->created && !entry->lease;
}

static enum clusterlock_result fail_over(struct clusterlock *lock, const struct etcd_entry *entry)
{
	char *why;

	if (asprintf(&why, "the key %s has no lease: it is no lock's, and would keep this name taken without end (delete it, or choose another name)",
		     entry->key.bytes) == -1)
		return clusterlock_fail(lock, "no memory");
	return clusterlock_fail(lock, why);
}

bool clusterlock_is_outer(const struct clusterlock *lock)
{
	const struct etcd_bytes *key = &lock->holder.key, *outer = &lock->outer;

	return outer->length && lock->holder.created && key->length == lock->queue.length + outer->length &&
	       memcmp(key->bytes + lock->queue.length, outer->bytes, outer->length) == 0;
}

// Puts our key into the queue; TRY: only if that is empty. OWN and REVISION as the answer has them.
static enum clusterlock_result enter(struct clusterlock *lock, bool try, uint64_t end, struct etcd_queue *queue)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "kv/txn", etcd_ask_entry(&lock->queue, &lock->key, &lock->value, lock->lease.id, try),
					    end, CLUSTERLOCK_TRY, &answer);
	bool understood = result == ETCD_DONE && etcd_read_queue(answer.body, queue);

	clusterlease_confirm(lock, answer.body);
	json_decref(answer.body);
	// A key needs a lease. Somebody has ended it.
	if (result == ETCD_REFUSED && answer.code == ETCD_CODE_NOT_FOUND)
		lease_end(&lock->lease);
	if (!understood)
		return clusterlock_not_done(lock, result);
	remember_holder(lock, &queue->first);
	if (queue->own && is_own(lock, &lock->holder)) {
		lock->fence = queue->own;
		return CLUSTERLOCK_TAKEN;
	}
	return is_no_locks(&lock->holder) ? fail_over(lock, &lock->holder) : CLUSTERLOCK_HELD;
}

static enum etcd_result look(struct clusterlock *lock, json_t *request, uint64_t end, struct etcd_entry *entry, uint64_t *revision)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "kv/range", request, end, lease_try(&lock->lease), &answer);

	if (result == ETCD_DONE && !etcd_read_first(answer.body, entry, revision))
		result = ETCD_REFUSED;
	clusterlease_confirm(lock, answer.body);
	json_decref(answer.body);
	return result;
}

// Until when to look beside a renewal: the next one is not to wait for that.
static uint64_t look_end(const struct clusterlock *lock)
{
	uint64_t end = lease_clock() + 2 * lease_try(&lock->lease), over = clusterlease_end(lock);

	return end < over ? end : over;
}

// Our key is gone: somebody has deleted it. To the end of the queue, where OWN is the new place.
static enum clusterlock_result enter_again(struct clusterlock *lock, uint64_t *own)
{
	struct etcd_queue queue = { .own = *own };
	enum clusterlock_result result = enter(lock, false, clusterlease_end(lock), &queue);

	*own = queue.own;
	return result;
}

// Renews the lease where that is due. HELD: it is not known to be gone.
static enum clusterlock_result keep_lease(struct clusterlock *lock)
{
	if (lease_clock() < clusterlock_due(lock) || clusterlease_renew(lock) != RENEWED_GONE)
		return CLUSTERLOCK_HELD;
	lease_end(&lock->lease);
	return clusterlock_fail(lock, "the lease ended while this waited for the lock");
}

// Whether the key that was made at CREATED still is the last before our place OWN. Unknown: it is.
static bool is_behind(struct clusterlock *lock, uint64_t own, uint64_t created)
{
	struct etcd_entry before;
	uint64_t revision;
	bool behind;

	if (look(lock, etcd_ask_predecessor(&lock->queue, own), look_end(lock), &before, &revision) != ETCD_DONE)
		return true;
	behind = before.created == created;
	etcd_entry_free(&before);
	return behind;
}

// Sleeps until BEFORE, which is before our place OWN, has gone, and renews the lease meanwhile. At each renewal it looks as well: a watch may be
// dead without a word.
static enum clusterlock_result await_change(struct clusterlock *lock, uint64_t own, const struct etcd_entry *before, uint64_t deadline)
{
	enum clusterlock_result result;

	do {
		uint64_t due = clusterlock_due(lock);

		if (!etcd_sleep(lock->etcd, due < deadline ? due : deadline))
			return CLUSTERLOCK_INTERRUPTED;
		result = keep_lease(lock);
	} while (result == CLUSTERLOCK_HELD && !etcd_watch_is_over(lock->etcd) && lease_clock() < deadline &&
		 is_behind(lock, own, before->created));
	return result;
}

// At the place OWN we are the first. HELD: the lease is too old for that.
static enum clusterlock_result take_turn(struct clusterlock *lock, uint64_t own)
{
	if (lease_phase(&lock->lease, lease_clock()) != LEASE_FRESH)
		return CLUSTERLOCK_HELD;
	lock->fence = own;
	return CLUSTERLOCK_TAKEN;
}

static enum etcd_result look_at_place(struct clusterlock *lock, uint64_t own, struct etcd_place *place)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "kv/txn", etcd_ask_place(&lock->queue, &lock->key, own), clusterlease_end(lock),
					    lease_try(&lock->lease), &answer);

	if (result == ETCD_DONE && !etcd_read_place(answer.body, place))
		result = ETCD_REFUSED;
	clusterlease_confirm(lock, answer.body);
	json_decref(answer.body);
	return result;
}

// Waits behind PLACE->before. HELD: it is not known whether the turn is ours.
//
// Where the key before ours is the first of the queue, the watch says all that has to be known when it goes: etcd tells of what one watch is for in
// the order of its deletion, so our own key is still there. Nothing has to be asked then. But such a watch also tells of all keys between the two,
// and in a long queue that would wake all who wait each time.
static enum clusterlock_result wait_behind(struct clusterlock *lock, uint64_t own, const struct etcd_place *place, uint64_t deadline)
{
	const struct etcd_bytes *before = &place->before.key;
	bool tells_all = place->first.created == place->before.created && place->count <= SHORT_QUEUE;
	enum clusterlock_result result;

	etcd_watch(lock->etcd, before, tells_all ? &lock->key : NULL, place->revision);
	result = await_change(lock, own, &place->before, deadline);
	if (result == CLUSTERLOCK_HELD && tells_all && etcd_watch_tells_deletion(lock->etcd, before) &&
	    !etcd_watch_tells_deletion(lock->etcd, &lock->key))
		return take_turn(lock, own);
	return result;
}

// One turn in the queue, where our place is OWN: sleeps until the one before us goes. HELD: it is not known whether the turn is ours.
static enum clusterlock_result wait_in_queue(struct clusterlock *lock, uint64_t *own, uint64_t deadline)
{
	struct etcd_place place = { .own = 0 };
	enum etcd_result looked = look_at_place(lock, *own, &place);
	enum clusterlock_result result;
	bool there;

	if (looked != ETCD_DONE)
		return clusterlock_not_done(lock, looked);
	there = place.own == *own;
	if (!there) {
		result = enter_again(lock, own);
	} else if (is_own(lock, &place.first)) {
		result = keep_lease(lock);
		if (result == CLUSTERLOCK_HELD)
			result = take_turn(lock, *own);
	} else if (is_no_locks(&place.before)) {
		result = fail_over(lock, &place.before);
	} else {
		result = wait_behind(lock, *own, &place, deadline);
	}
	etcd_entry_free(&place.before);
	if (there)
		remember_holder(lock, &place.first);
	else
		etcd_entry_free(&place.first);
	return result;
}

static enum clusterlock_result wait_for_turn(struct clusterlock *lock, uint64_t own, uint64_t deadline)
{
	enum clusterlock_result result = CLUSTERLOCK_HELD;

	while (result == CLUSTERLOCK_HELD && lease_clock() < deadline) {
		uint64_t pause;

		result = wait_in_queue(lock, &own, deadline);
		// A member whose watches break off at once is not to be asked without end.
		pause = lease_clock() + PAUSE;
		if (result == CLUSTERLOCK_HELD && !etcd_sleep(lock->etcd, pause > lock->again ? pause : lock->again))
			result = CLUSTERLOCK_INTERRUPTED;
	}
	etcd_unwatch(lock->etcd);
	return result;
}

static bool lease_is_over(const struct clusterlock *lock)
{
	return lock->lease.id && lease_phase(&lock->lease, lease_clock()) == LEASE_OVER;
}

static void watch_key(struct clusterlock *lock, uint64_t revision)
{
	etcd_watch(lock->etcd, &lock->key, NULL, revision);
	lock->watched = lease_clock();
}

// One that breaks off again and again has to wait for the next renewal.
static void watch_again(struct clusterlock *lock, uint64_t revision, uint64_t now)
{
	if (now >= lock->watched + WATCH_AGAIN)
		watch_key(lock, revision);
	else
		etcd_unwatch(lock->etcd);
}

// The key under the lease, as etcd's recipe has it.
static bool make_key(struct clusterlock *lock)
{
	char *key;
	int length = asprintf(&key, "%*s%" PRIx64, (int)lock->queue.length, "", lock->lease.id);

	etcd_bytes_free(&lock->key);
	if (length == -1)
		return false;
	memcpy(key, lock->queue.bytes, lock->queue.length);	// NOLINT(bugprone-not-null-terminated-result): the ID follows
	lock->key = (struct etcd_bytes){ key, (size_t)length };
	return true;
}

static enum clusterlock_result begin(struct clusterlock *lock, uint64_t end)
{
	enum clusterlock_result result;

	lock->lease.id = 0;
	lock->renewal.term = 0;
	result = clusterlease_grant(lock, lock->ttl, end, &lock->lease);
	return result == CLUSTERLOCK_TAKEN && !make_key(lock) ? clusterlock_fail(lock, "no memory") : result;
}

static enum clusterlock_result take_once(struct clusterlock *lock, uint64_t deadline, uint64_t end)
{
	enum clusterlock_result result = begin(lock, end);
	struct etcd_queue queue = { .own = 0 };

	if (result == CLUSTERLOCK_TAKEN)
		result = enter(lock, deadline == 0, end, &queue);
	if (result == CLUSTERLOCK_HELD && deadline && !clusterlock_is_outer(lock)) {
		lock->waits = true;
		result = wait_for_turn(lock, queue.own, deadline);
	}
	// The command would be asked to end at once. With another lease it need not be.
	if (result == CLUSTERLOCK_TAKEN && lease_phase(&lock->lease, lease_clock()) >= LEASE_LATE) {
		lease_end(&lock->lease);
		return clusterlock_fail(lock, TOO_SLOW);
	}
	if (result == CLUSTERLOCK_TAKEN)
		watch_key(lock, lock->fence);
	return result;
}

// Whether to try again after RESULT. A lease that is over before etcd has answered leaves nothing behind; and what ends for one that waits is
// its place.
static bool may_try_again(const struct clusterlock *lock, enum clusterlock_result result)
{
	if (lease_is_over(lock))
		return result == CLUSTERLOCK_FAILED || result == CLUSTERLOCK_INTERRUPTED;
	return lock->waits && result == CLUSTERLOCK_FAILED && lock->unreachable;
}

static uint64_t earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

enum clusterlock_result clusterlock_take(struct clusterlock *lock, uint64_t deadline)
{
	uint64_t end = lease_clock() + START_TIME;

	for (;;) {
		enum clusterlock_result result;
		bool had_place;

		if (lock->waits && !etcd_sleep(lock->etcd, earlier(lease_clock() + REST, deadline)))
			return CLUSTERLOCK_INTERRUPTED;
		if (lock->waits)
			end = earlier(lease_clock() + START_TIME, deadline);
		result = take_once(lock, deadline, end);
		had_place = lock->lease.id != 0;
		if (!may_try_again(lock, result))
			return result;
		// Not to be held up by our own key; and whether it was the lease's end that interrupted us shows here.
		if (had_place && clusterlease_revoke(lock) == ETCD_INTERRUPTED)
			return CLUSTERLOCK_INTERRUPTED;
		if (lease_clock() >= (lock->waits || (deadline && deadline < end) ? deadline : end))
			return lock->waits ? CLUSTERLOCK_HELD : clusterlock_fail(lock, TOO_SLOW);
		if (lock->waits && had_place)
			return CLUSTERLOCK_OUT_OF_QUEUE;
	}
}

// Whether the key still is there: the watch on it may be dead without a word, if its member hangs or the way to it. Unknown: it is.
static bool check_key(struct clusterlock *lock)
{
	struct etcd_entry first;
	uint64_t revision, now = lease_clock();
	bool there;

	if (look(lock, etcd_ask_first(&lock->queue), look_end(lock), &first, &revision) != ETCD_DONE)
		return true;
	there = is_own(lock, &first) && first.created == lock->fence;
	etcd_entry_free(&first);
	if (!there)
		lock->why = DELETED;
	else if (etcd_watch_is_over(lock->etcd))
		watch_again(lock, revision, now);
	return there;
}

bool clusterlock_keep(struct clusterlock *lock)
{
	enum renewed renewed = clusterlease_renew(lock);

	if (renewed == RENEWED_GONE)
		lock->why = "etcd has ended the lease";
	if (renewed == RENEWED_GONE || (renewed == RENEWED_LATER && !etcd_watch_is_over(lock->etcd)))
		return renewed != RENEWED_GONE;
	return check_key(lock);
}

// Puts the key under LEASE. Its revision stays, and with it its place before all others.
static enum clusterlock_result put_under(struct clusterlock *lock, const struct lease *lease, const struct etcd_bytes *value, uint64_t end)
{
	struct etcd_answer answer;
	enum etcd_result result = etcd_call(lock->etcd, "kv/txn", etcd_ask_release(&lock->key, lock->fence, value, lease->id), end,
					    CLUSTERLOCK_TRY, &answer);
	bool there = result == ETCD_DONE && etcd_read_success(answer.body);

	json_decref(answer.body);
	if (there)
		return CLUSTERLOCK_TAKEN;
	return result == ETCD_DONE ? clusterlock_fail(lock, DELETED) : clusterlock_not_done(lock, result);
}

bool clusterlock_leave_key(struct clusterlock *lock, unsigned seconds, const struct etcd_bytes *value)
{
	uint64_t end = earlier(lease_clock() + START_TIME, clusterlease_end(lock));
	struct lease lease;
	bool left;

	etcd_unwatch(lock->etcd);
	left = clusterlease_grant(lock, seconds, end, &lease) == CLUSTERLOCK_TAKEN && put_under(lock, &lease, value, end) == CLUSTERLOCK_TAKEN;
	// The key stays under the old lease then, until that ends.
	if (!left)
		lock->lease.id = 0;
	return left;
}

void clusterlock_give_back(struct clusterlock *lock)
{
	etcd_unwatch(lock->etcd);
	if (lock->lease.id)
		(void)clusterlease_revoke(lock);
}
