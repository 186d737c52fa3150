// SPDX-License-Identifier: MIT
#include "lockfile.h"

#include "claim.h"
#include "descriptor.h"
#include "hold.h"
#include "holder.h"
#include "keepers.h"
#include "pause.h"
#include "record.h"
#include "tombstone.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MILLISECOND UINT64_C(1000000)

// How long a busy flock without a living holder is looked at again.
#define PATIENCE_NS (200 * MILLISECOND)
// The same, as long as no process is seen that keeps it: on a busy machine an instant may last. One that cannot be seen from here
// makes a refusal take that long.
#define UNSEEN_NS (2000 * MILLISECOND)
#define LOOK_FOR_HOLDER_US 20000
// How long an own lock is tried for again after exec; contenders have it for microseconds.
#define RESUME_NS (1000 * MILLISECOND)
// How long a waiter keeps the flock, and with it its turn, while the process that gave it up is still dying.
#define LINGER_NS (1000 * MILLISECOND)
// How long a start that does not wait lets a predecessor die that has deleted the file already.
#define DYING_NS (1000 * MILLISECOND)
// How long a peer may take between creating the file and writing its PID.
#define EMPTY_NS (40 * MILLISECOND)
// How long a file that is gone whenever we have it open is followed.
#define RESTLESS_NS (2000 * MILLISECOND)
#define LOOK_AGAIN_US 500

// Deletes the file that this process has just taken.
static bool delete_again(const struct lockfile *lock)
{
	struct record record;
	struct stat status;
	int fd = record_open(lock->path, O_RDWR, &status);
	bool deleted = fd != -1 && record_read(fd, &record, &status) == 0 &&
		       claim_delete(lock->path, fd, lock->device, lock->inode, &record);

	if (fd != -1)
		(void)close(fd);
	return deleted;
}

// The name is ours, but whoever gave it up before us may not be quite gone.
// DEADLINE 0: for a moment.
static enum claim_result await_predecessor(struct lockfile *lock, uint64_t deadline, struct claim *claim)
{
	int error;

	// Left behind by a process that did not end by exit(), or by one forked from it, which no record names.
	if (!claim->created && !claim->left)
		holder_await_endings();
	if (tombstone_await(lock->path, 0, &claim->holder) == 0 ||
	    (errno == ETIME &&
	     tombstone_await(lock->path, deadline ? deadline : pause_clock() + DYING_NS, &claim->holder) == 0))
		return CLAIM_TAKEN;
	error = errno;
	claim->vouched = true;
	(void)delete_again(lock);
	hold_end(lock);
	claim->error = error;
	return error == ETIME ? CLAIM_HELD : CLAIM_FAILED;
}

// Whether the process that gave the flock up is on its way out, by the kernel's word or by its own.
static bool is_leaving(const struct lockfile *lock, pid_t holder)
{
	pid_t owner;

	// In this order: a tombstone that is no more to be seen is that of a process that has ended by now.
	return (tombstone_await(lock->path, 0, &owner) == -1 && owner == holder) || process_is_ending(holder);
}

// Until when to keep the flock, and with it the turn, while HOLDER still lives by the record; 0: not at all. One that called exec wants
// it back: of what it forks later other users and other PID namespaces see nothing but that. Who was asked to end has all the time there
// is: without the flock somebody else could get in before us.
static uint64_t linger_until(const struct lockfile *lock, pid_t holder, uint64_t deadline)
{
	uint64_t until;

	if (lock->asked_to_end && holder == lock->asked_to_end)
		return deadline;
	if (!is_leaving(lock, holder))
		return 0;
	until = pause_clock() + LINGER_NS;
	return until < deadline ? until : deadline;
}

// Who leaves says so under the record's lock just when the next one wants to read it; on a busy machine such an instant may last, and is not to
// cost the turn.
static enum claim_result read_in_turn(const struct lockfile *lock, uint64_t deadline, bool accept_empty, struct claim *claim)
{
	enum claim_result result = CLAIM_HELD;

	while (result == CLAIM_HELD && claim->unread && pause_clock() < deadline)
		result = claim_judge(lock->path, &lock->self, accept_empty, claim);
	return result;
}

static enum claim_result keep_turn(const struct lockfile *lock, uint64_t deadline, bool accept_empty, struct claim *claim)
{
	enum claim_result result = read_in_turn(lock, deadline, accept_empty, claim);
	uint64_t until = result == CLAIM_HELD ? linger_until(lock, claim->holder, deadline) : 0;
	bool left_before = claim->left || !until;

	if (until && watch_process(claim->holder, until) == 0) {
		claim->unread = true;
		result = read_in_turn(lock, deadline, accept_empty, claim);
	}
	// Said in our turn, it is the recorded process' own word. Another one's may stand in a file that later holders could not write to.
	claim->left = claim->left && !left_before;
	return result;
}

// One attempt. With a DEADLINE it blocks until the flock is ours; watch_arm() ends that. CLAIM says what came of it.
static enum claim_result attempt(struct lockfile *lock, uint64_t deadline, bool accept_empty, struct claim *claim)
{
	enum claim_result result;

	if (!claim_open_or_create(lock->path, deadline != 0, lock->threads, claim)) {
		claim->error = errno;
		if (errno == ELOOP)
			claim->why = "is a symbolic link";
		return errno == EWOULDBLOCK || errno == EINTR ? CLAIM_BUSY : CLAIM_FAILED;
	}
	claim->fd = descriptor_move_up(claim->fd);
	result = claim_judge(lock->path, &lock->self, accept_empty, claim);
	if (deadline && result == CLAIM_HELD)
		result = keep_turn(lock, deadline, accept_empty, claim);
	else
		claim->left = false;
	if (result != CLAIM_TAKEN && result != CLAIM_OWN) {
		(void)close(claim->fd);
		return result;
	}
	lock->resumed = result == CLAIM_OWN;
	// Another user's stale file: without a record nothing would hold the lock across exec but a descriptor.
	if (!lock->resumed && !claim->writable)
		lock->keep_descriptor = true;
	hold_keep(lock, claim->fd, &claim->status);
	return lock->resumed ? CLAIM_OWN : await_predecessor(lock, deadline, claim);
}

// What the outside is told of an attempt.
static enum lockfile_result conclude(enum claim_result result, const struct claim *claim, struct lockfile_outcome *outcome)
{
	*outcome = (struct lockfile_outcome){
		.holder = claim->nameless ? 0 : claim->holder,
		.vouched = claim->vouched,
		.error = claim->error,
		.why = claim->why,
	};
	if (result == CLAIM_TAKEN || result == CLAIM_OWN)
		return LOCKFILE_TAKEN;
	return result == CLAIM_FAILED ? LOCKFILE_ERROR : LOCKFILE_HELD;
}

static void remember(struct lockfile *lock, const struct stat *status)
{
	lock->device = status->st_dev;
	lock->inode = status->st_ino;
	lock->resumed = true;
}

static bool share(struct lockfile *lock, dev_t device, ino_t inode)
{
	struct stat status;
	int fd = record_open_to_hint(lock->path, &status);

	if (fd == -1)
		return false;
	if (status.st_dev == device && status.st_ino == inode) {
		remember(lock, &status);
		lock->mapping = hold_map(fd);
		record_hint(fd, &status, RECORD_HINT_MAPPED);
	}
	(void)close(fd);
	return lock->mapping != NULL;
}

bool lockfile_share(struct lockfile *lock, const struct mark *mark)
{
	return share(lock, mark->device, mark->inode);
}

// The record is our own, from before exec, but the flock is busy. Mostly a contender has it for an instant; a child of ours
// from before may have it for good, and a second copy of this library in this very process has it already. The record
// alone holds the lock, so none of this may make the program fail.
static void resume(struct lockfile *lock, const struct stat *status)
{
	const struct mapped_file file = { status->st_dev, status->st_ino, lock->path, false };
	uint64_t end = pause_clock() + RESUME_NS;
	struct claim claim;

	remember(lock, status);
	if (keepers_maps(0, &file))
		return;
	for (int tries = 1; pause_clock() < end; tries++) {
		if (attempt(lock, 0, true, &claim) == CLAIM_OWN)
			return;
		if (tries % 16 == 0 && keepers_find_mapper(&file) != 0)
			break;
		pause_us(LOOK_AGAIN_US);
	}
	// For what this process may yet fork: the record does not follow that.
	(void)share(lock, status->st_dev, status->st_ino);
}

bool lockfile_resume(struct lockfile *lock)
{
	struct record record;
	struct claim claim;

	if (!claim_open(lock->path, false, &claim))
		return false;
	if (record_read(claim.fd, &record, &claim.status) == -1 || !S_ISREG(claim.status.st_mode) || claim.status.st_nlink != 1 ||
	    !record_is_of(&record, &lock->self)) {
		(void)close(claim.fd);
		return false;
	}
	lock->resumed = true;
	hold_keep(lock, descriptor_move_up(claim.fd), &claim.status);
	return true;
}

// The flock has been busy for WAITED: whose is it by the record? BUSY: nobody's who lives.
static enum claim_result judge_busy(struct lockfile *lock, uint64_t waited, struct claim *claim)
{
	struct record record;

	if (record_peek(lock->path, &record, &claim->status) == -1)
		return errno == ENOENT ? CLAIM_AGAIN : CLAIM_BUSY;
	if (record_is_of(&record, &lock->self)) {
		resume(lock, &claim->status);
		return CLAIM_OWN;
	}
	if (!record_is_alive(&record))
		return CLAIM_BUSY;
	claim_set_holder(claim, &record);
	// Without a stamp it is a Python program's PID, and the flock a contender's for an instant, perhaps that of another child of it;
	// or one has the flock that cannot tell its start time: its PID is one of another PID namespace, mostly.
	if (claim->vouched && record.stamp == PROCESS_NO_STAMP) {
		if (waited <= PATIENCE_NS)
			return CLAIM_AGAIN;
		claim->vouched = false;
	}
	return CLAIM_HELD;
}

static bool is_final(enum claim_result result)
{
	return result == CLAIM_TAKEN || result == CLAIM_OWN || result == CLAIM_HELD || result == CLAIM_FAILED;
}

enum lockfile_result lockfile_try(struct lockfile *lock, bool patient, struct lockfile_outcome *outcome)
{
	uint64_t start = 0, waited = 0;

	for (;; waited = pause_clock() - start) {
		struct claim claim;
		enum claim_result result = attempt(lock, 0, waited > EMPTY_NS, &claim);

		if (result == CLAIM_BUSY)
			result = judge_busy(lock, waited, &claim);
		if (result == CLAIM_BUSY && (!patient || waited > PATIENCE_NS)) {
			claim.holder = holder_find(lock->path);
			if (claim.holder != 0 || !patient || waited > UNSEEN_NS)
				result = CLAIM_HELD;
			else
				pause_us(LOOK_FOR_HOLDER_US);
		} else if (result == CLAIM_AGAIN && waited > RESTLESS_NS) {
			claim.why = "is replaced again and again";
			result = CLAIM_FAILED;
		}
		if (is_final(result))
			return conclude(result, &claim, outcome);
		if (start == 0)
			start = pause_clock();
		pause_us(LOOK_AGAIN_US);
	}
}

// Tells the holder that somebody waits, so that it does not delete the file under us at its end: all who wait would wake,
// and queue again in any order.
static void announce(const char *path)
{
	struct stat status;
	int fd = record_open_to_hint(path, &status);

	if (fd == -1)
		return;
	record_hint(fd, &status, RECORD_HINT_WAITERS);
	(void)close(fd);
}

enum lockfile_result lockfile_wait(struct lockfile *lock, uint64_t deadline, struct lockfile_outcome *outcome)
{
	uint64_t start = pause_clock();
	struct claim claim = { .fd = -1 };

	while (pause_clock() < deadline) {
		enum claim_result result;
		struct watch_alarm alarm;
		bool blocks;

		announce(lock->path);
		// With no timer to be had, a limit of pending signals for one, it has to do without the queue. In it, busy is a file
		// with somebody's lease, which does not make us wait.
		blocks = watch_arm(&alarm, deadline) == 0;
		result = attempt(lock, blocks ? deadline : 0, pause_clock() - start > EMPTY_NS, &claim);
		watch_disarm(&alarm);
		// The flock is free, but the record names a living process: one that called exec, or a Python peer. The flock
		// was given up again, for the former wants it back.
		if (result == CLAIM_HELD)
			watch_holder(claim.holder, lock->path, deadline);
		else if (is_final(result))
			return conclude(result, &claim, outcome);
		else
			pause_us(LOOK_AGAIN_US);
	}
	claim.holder = holder_find(lock->path);
	return conclude(CLAIM_HELD, &claim, outcome);
}

// Whether the descriptor that MARK names still is the holder's file.
static bool is_marked_file(const struct mark *mark, struct stat *status)
{
	return mark->descriptor >= 0 && fstat(mark->descriptor, status) == 0 && mark_is_of(mark, status);
}

bool lockfile_adopt(struct lockfile *lock, const struct mark *mark)
{
	struct stat status;

	// Only the holder's own open file description gets the flock here.
	if (!is_marked_file(mark, &status) || !claim_is_at(lock->path, &status) || flock(mark->descriptor, LOCK_EX | LOCK_NB) == -1)
		return false;
	remember(lock, &status);
	lock->mapping = hold_map(mark->descriptor);
	lock->descriptor = mark->descriptor;
	return true;
}

void lockfile_disown(const struct mark *mark)
{
	struct stat status;

	if (is_marked_file(mark, &status))
		(void)close(mark->descriptor);
}

