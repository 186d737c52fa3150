// SPDX-License-Identifier: MIT
#include "lockfile.h"

#include "claim.h"
#include "hold.h"
#include "holder.h"
#include "keepers.h"
#include "lockdir.h"
#include "openers.h"
#include "pause.h"
#include "pinned.h"
#include "record.h"
#include "tombstone.h"
#include "user.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MILLISECOND UINT64_C(1000000)

// How long a waiter keeps the flock, and with it its turn, while the process that gave it up is still dying.
#define LINGER_NS (1000 * MILLISECOND)
// From when on a process is looked for that has a busy flock by a descriptor that it inherited, as a command without the shim has it.
#define HEIR_SHOWS_NS (2 * MILLISECOND)
// From when on it is looked who has a busy flock whose recorded process is dead. A keeper that is seen by then and stays is one.
#define KEEPER_SHOWS_NS (100 * MILLISECOND)
// From when on a dead process that keeps its flock is no longer just ending: its memory is being looked at.
#define IS_PINNED_NS (30 * MILLISECOND)
// Between two looks at other processes.
#define LOOK_AT_OTHERS_NS (20 * MILLISECOND)
// Looks at an empty file before it is looked who has it open: its creator writes at once.
#define LOOKS_EMPTY 3
// Looks at it when the budget is over.
#define LOOKS_LATE 2
#define LOOK_AGAIN_US 500
// When a waiter whose hint the holder cannot see first looks whether the file is still there.
#define FIRST_LOOK_NS (1000 * MILLISECOND)

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

// Whether a tombstone of OWNER says enough to let OWNER's descendants pass by: anybody may raise one, and have this process started
// below. STATUS is the file's, which was OWNER's, or is this process' own.
static bool vouches(const struct tombstone_owner *owner, const struct stat *status)
{
	return owner->user_known && (owner->user == 0 || user_is_same(owner->user, geteuid()) || user_is_same(owner->user, status->st_uid));
}

// The name is ours, but whoever gave it up before us may not be quite gone.
// DEADLINE 0: the budget's. A waiter has one for its looks, too, from now on.
static enum claim_result await_predecessor(struct lockfile *lock, uint64_t deadline, struct claim *claim)
{
	struct tombstone_owner owner;
	int error;

	if (deadline)
		lock->budget.end = 0;
	// Left behind by a process that did not end by exit(), or by one forked from it, which no record names.
	if (!claim->created && !claim->left)
		(void)holder_await_endings(NULL, claim->status.st_uid, &lock->budget);
	if (tombstone_await(lock->path, 0, &owner) == 0 ||
	    (errno == ETIME && tombstone_await(lock->path, deadline ? deadline : budget_end(&lock->budget), &owner) == 0))
		return CLAIM_TAKEN;
	error = errno;
	claim->holder = owner.pid;
	claim->vouched = vouches(&owner, &claim->status);
	(void)delete_again(lock);
	hold_end(lock);
	claim->error = error;
	return error == ETIME ? CLAIM_HELD : CLAIM_FAILED;
}

// Whether the process that gave the flock up is on its way out, by the kernel's word or by its own.
static bool is_leaving(const struct lockfile *lock, pid_t holder)
{
	// In this order: a tombstone that is no more to be seen is that of a process that has ended by now.
	return tombstone_is_of(lock->path, holder) || process_is_ending(holder);
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
static enum claim_result read_in_turn(struct lockfile *lock, uint64_t deadline, ino_t unclaimed, struct claim *claim)
{
	enum claim_result result = CLAIM_HELD;

	while (result == CLAIM_HELD && claim->unread && pause_clock() < deadline)
		result = claim_judge(lock->path, &lock->self, unclaimed, &lock->budget, claim);
	return result;
}

static enum claim_result keep_turn(struct lockfile *lock, uint64_t deadline, ino_t unclaimed, struct claim *claim)
{
	enum claim_result result = read_in_turn(lock, deadline, unclaimed, claim);
	uint64_t until = result == CLAIM_HELD ? linger_until(lock, claim->holder, deadline) : 0;
	bool left_before = claim->left || !until;

	if (until && watch_process(claim->holder, until) == 0) {
		claim->unread = true;
		result = read_in_turn(lock, deadline, unclaimed, claim);
	}
	// Said in our turn, it is the recorded process' own word. Another one's may stand in a file that later holders could not write to.
	claim->left = claim->left && !left_before;
	return result;
}

// What is to be inherited is open for reading only: a command that drops its privileges must not be able to write the record with it, nor to cut
// the file.
static bool is_apart(const struct lockfile *lock)
{
	return lock->hands_over || lock->keep_descriptor;
}

static bool open_claim(struct lockfile *lock, bool block, struct claim *claim)
{
	const struct claim_way way = { .block = block, .apart = is_apart(lock), .threads = lock->threads };
	int inherited = lock->inherited;

	lock->inherited = 0;
	return (inherited && claim_inherit(lock->path, inherited, claim)) || claim_open_or_create(lock->path, &way, claim);
}

// One attempt. With a DEADLINE it blocks until the flock is ours; watch_arm() ends that. CLAIM says what came of it.
static enum claim_result attempt(struct lockfile *lock, uint64_t deadline, ino_t unclaimed, struct claim *claim)
{
	enum claim_result result;

	if (!open_claim(lock, deadline != 0, claim)) {
		claim->error = errno;
		if (errno == ELOOP)
			claim->why = "is a symbolic link";
		return errno == EWOULDBLOCK || errno == EINTR ? CLAIM_BUSY : CLAIM_FAILED;
	}
	claim_move_up(claim);
	if (lock->own_directory && (claim->why = lockdir_find_fault(lock->path)) != NULL) {
		claim_close(claim);
		return CLAIM_FAILED;
	}
	result = claim_judge(lock->path, &lock->self, unclaimed, &lock->budget, claim);
	// Another thread has the lock whose flock is gone: where no mapping keeps that, with the program's descriptors.
	if (deadline && result == CLAIM_OWN && lock->rivals) {
		claim->holder = lock->self.pid;
		result = CLAIM_HELD;
	}
	if (deadline && result == CLAIM_HELD)
		result = keep_turn(lock, deadline, unclaimed, claim);
	else
		claim->left = false;
	if (result != CLAIM_TAKEN && result != CLAIM_OWN) {
		claim_close(claim);
		return result;
	}
	lock->resumed = result == CLAIM_OWN;
	// Another user's stale file: without a record nothing would hold the lock across exec but a descriptor.
	lock->unwritable = !lock->resumed && !claim->writable;
	lock->keep_descriptor = lock->keep_descriptor || lock->unwritable;
	hold_keep(lock, claim);
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
		lock->shares = true;
		record_hint(fd, &status, RECORD_HINT_MAPPED);
	}
	(void)close(fd);
	return lock->mapping != NULL;
}

static struct mapped_file file_of(struct lockfile *lock, const struct stat *status)
{
	return (struct mapped_file){ .device = status->st_dev, .inode = status->st_ino, .path = lock->path, .budget = &lock->budget };
}

bool lockfile_share(struct lockfile *lock, const struct mark *mark)
{
	return share(lock, mark->lock.device, mark->lock.inode);
}

// The record is our own, from before exec, but the flock is busy. Mostly a contender has it for an instant; a child of ours
// from before may have it for good, and a second copy of this library in this very process has it already. The record
// alone holds the lock, so none of this may make the program fail.
static void resume(struct lockfile *lock, const struct stat *status)
{
	const struct mapped_file file = file_of(lock, status);
	struct claim claim;

	remember(lock, status);
	if (keepers_maps(0, &file))
		return;
	// Taken by this very process it stays busy: by a descriptor of which no mark tells any more, or by a child from before.
	for (int tries = 1; keepers_find_taker(&file) != lock->self.pid && !budget_is_over(&lock->budget); tries++) {
		if (attempt(lock, 0, 0, &claim) == CLAIM_OWN)
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
	const struct claim_way way = { .apart = is_apart(lock) };
	struct record record;
	struct claim claim;

	if (!claim_open(lock->path, &way, &claim))
		return false;
	if (record_read(claim.fd, &record, &claim.status) == -1 || !S_ISREG(claim.status.st_mode) || claim.status.st_nlink != 1 ||
	    !record_is_of(&record, &lock->self)) {
		claim_close(&claim);
		return false;
	}
	lock->resumed = true;
	claim_move_up(&claim);
	hold_keep(lock, &claim);
	return true;
}

// What the looks of one start at a file that it cannot take have shown.
struct looks {
	uint64_t next;		// when others are to be looked at again
	pid_t keeper;		// who may have the flock; 0: not known
	struct pinned pinned;
	ino_t empty;		// the file that is empty
	pid_t opener;		// the process that had it open at the last look; 0: none that can be seen
	bool others;		// at the look before, it was another process
	int empties, late;	// how often it was empty, and looked at when the budget was over
	ino_t unclaimed;	// an empty file that nobody's creator has open any more
};

static bool is_time(struct looks *looks)
{
	uint64_t now = pause_clock();

	if (now < looks->next)
		return false;
	looks->next = now + LOOK_AT_OTHERS_NS;
	return true;
}

// The record is ours, and the flock is a dead process' memory's.
static enum claim_result keep_by_record(struct lockfile *lock, struct claim *claim)
{
	if (is_apart(lock))
		claim_part(lock->path, claim);
	while ((lock->shares = flock(claim->held, LOCK_EX | LOCK_NB) == -1) && !budget_is_over(&lock->budget))
		pause_us(LOOK_AGAIN_US);
	if (lock->shares)
		record_hint(claim->fd, &claim->status, RECORD_HINT_MAPPED);
	hold_keep(lock, claim);
	return await_predecessor(lock, 0, claim);
}

// The flock is busy, and the process of RECORD is dead: who keeps it? A hint on the file must count for everybody who starts here: of
// what is forked later, nothing else tells.
static enum claim_result find_keeper(struct lockfile *lock, struct looks *looks, const struct record *record, struct claim *claim)
{
	const struct mapped_file file = file_of(lock, &claim->status);
	bool over = budget_is_over(&lock->budget), stays = false;
	uint64_t spent = budget_spent(&lock->budget);

	if (spent > HEIR_SHOWS_NS && (is_time(looks) || (over && looks->keeper == 0))) {
		looks->keeper = holder_find_inherited(lock->path, &lock->budget, &stays);
		if (!stays && spent > IS_PINNED_NS && record->pid > 0 && record_hints(&claim->status) != 0 && pinned_look(&looks->pinned, &file)) {
			enum claim_result result = pinned_take(&looks->pinned, &file, &lock->self, claim);

			return result == CLAIM_TAKEN ? keep_by_record(lock, claim) : result;
		}
		if (!stays && (spent > KEEPER_SHOWS_NS || over))
			looks->keeper = holder_find(lock->path, &lock->budget, &stays);
	}
	claim->holder = looks->keeper;
	return over || stays ? CLAIM_HELD : CLAIM_BUSY;
}

// The flock is busy: whose is it by the record? BUSY: nobody's who lives.
static enum claim_result judge_busy(struct lockfile *lock, bool patient, struct looks *looks, struct claim *claim)
{
	struct record record;

	claim->holder = 0;
	if (record_peek(lock->path, &record, &claim->status) == -1) {
		if (errno == ENOENT)
			return CLAIM_AGAIN;
		return !patient || budget_is_over(&lock->budget) ? CLAIM_HELD : CLAIM_BUSY;
	}
	if (!lock->rivals && record_is_of(&record, &lock->self)) {
		resume(lock, &claim->status);
		return CLAIM_OWN;
	}
	if (record_is_alive(&record)) {
		claim_set_holder(claim, &record);
		// Without a stamp it is a Python program's PID, and the flock a contender's for an instant, perhaps that of another child of it;
		// or one has the flock that cannot tell its start time: its PID is one of another PID namespace, mostly.
		if (claim->vouched && record.stamp == PROCESS_NO_STAMP) {
			if (!budget_is_over(&lock->budget))
				return CLAIM_AGAIN;
			claim->vouched = false;
		}
		return CLAIM_HELD;
	}
	if (patient)
		return find_keeper(lock, looks, &record, claim);
	// A waiter needs no name for the holder yet. But it must not wait for its own ancestor.
	claim->holder = holder_find_above(lock->path, &lock->budget);
	return CLAIM_HELD;
}

static void look_for_opener(struct lockfile *lock, struct looks *looks, const struct stat *status)
{
	const struct mapped_file file = file_of(lock, status);
	pid_t pid;

	switch (openers_of_user(&file, status->st_uid, &pid)) {
	case OPENERS_NONE:
		looks->unclaimed = looks->empty;
		break;
	case OPENERS_SEEN:
		looks->others = looks->opener != 0 && looks->opener != pid;
		looks->opener = pid;
		break;
	case OPENERS_UNSEEN:
		looks->opener = 0;
		break;
	case OPENERS_CUT:
		break;
	}
}

// The file is empty, and not ours. Its creator has it open until its PID is in it, or has ended before that. Contenders like this one
// have it open, too, for an instant at each try: so the creator is one process at two looks, and contenders are mostly two.
static enum claim_result judge_empty(struct lockfile *lock, struct looks *looks, struct claim *claim)
{
	bool over = budget_is_over(&lock->budget);

	if (looks->empty != claim->status.st_ino) {
		looks->empty = claim->status.st_ino;
		looks->opener = 0;
		looks->empties = looks->late = 0;
	}
	if (++looks->empties == LOOKS_EMPTY)
		budget_owe(&lock->budget);
	if (over || (looks->empties >= LOOKS_EMPTY && is_time(looks)))
		look_for_opener(lock, looks, &claim->status);
	claim->holder = looks->opener;
	if (!over || ++looks->late < LOOKS_LATE)
		return CLAIM_EMPTY;
	if (looks->opener != 0 && !looks->others)
		return CLAIM_HELD;
	// Nobody is seen who could be looked at: it is another user's, who cannot be told from one that was killed.
	looks->unclaimed = looks->empty;
	return CLAIM_EMPTY;
}

static bool is_final(enum claim_result result)
{
	return result == CLAIM_TAKEN || result == CLAIM_OWN || result == CLAIM_HELD || result == CLAIM_FAILED;
}

// The holder that the record names has it from a process that was ending, an instant ago. It may be ending, too, for that very reason: a
// subshell whose pipe has closed, a worker whose master has gone. Returns whether it has ended.
static bool await_settled(struct lockfile *lock, const struct claim *claim)
{
	uint64_t end, settled;

	if (claim->settles_in == 0 || budget_is_over(&lock->budget))
		return false;
	end = budget_end(&lock->budget);
	settled = pause_clock() + claim->settles_in;
	return watch_process(claim->holder, settled < end ? settled : end) == 0;
}

enum lockfile_result lockfile_try(struct lockfile *lock, bool patient, struct lockfile_outcome *outcome)
{
	struct looks looks = { 0 };

	lock->budget.end = 0;
	for (;;) {
		struct claim claim;
		enum claim_result result = attempt(lock, 0, looks.unclaimed, &claim);

		if (claim.lost)
			looks.unclaimed = claim.lost;
		if (result == CLAIM_BUSY)
			result = judge_busy(lock, patient, &looks, &claim);
		else if (result == CLAIM_EMPTY)
			result = judge_empty(lock, &looks, &claim);
		// Replaced again and again, by whom it does not say.
		if (result == CLAIM_AGAIN && budget_is_over(&lock->budget))
			result = CLAIM_HELD;
		if (result == CLAIM_HELD && patient && await_settled(lock, &claim))
			continue;
		if (is_final(result))
			return conclude(result, &claim, outcome);
		pause_us(LOOK_AGAIN_US);
	}
}

// Tells the holder that somebody waits, so that it does not delete the file under us at its end: all who wait would wake,
// and queue again in any order. Returns whether the holder can see that: another user's file takes no hint.
static bool announce(const char *path)
{
	struct stat status;
	int fd = record_open_to_hint(path, &status);
	bool set = fd != -1 && record_hint(fd, &status, RECORD_HINT_WAITERS);

	if (fd != -1)
		(void)close(fd);
	return set;
}

// Until when a waiter sleeps in the queue. The holder deletes the file under a waiter whose hint it cannot see. Another process may keep
// the deleted file's flock then, for any time: a child that was forked in the holder's last moment, or flock(1). So such a waiter wakes
// up after PATIENCE to open the file anew. That costs its place in the queue, so PATIENCE is doubled each time.
static uint64_t sleep_until(bool announced, uint64_t patience, uint64_t deadline)
{
	uint64_t look = announced ? UINT64_MAX : pause_clock() + patience;

	return look < deadline ? look : deadline;
}

enum lockfile_result lockfile_wait(struct lockfile *lock, uint64_t deadline, struct lockfile_outcome *outcome)
{
	struct claim claim = { .fd = -1, .holder = outcome->holder };
	struct looks looks = { 0 };
	uint64_t patience = FIRST_LOOK_NS;
	pid_t holder;
	bool stays;

	lock->budget.end = 0;
	while (pause_clock() < deadline) {
		enum claim_result result;
		struct watch_alarm alarm;
		bool blocks;
		uint64_t wake = sleep_until(announce(lock->path), patience, deadline);

		// With no timer to be had, a limit of pending signals for one, it has to do without the queue. In it, busy is a file
		// with somebody's lease, which does not make us wait.
		blocks = watch_arm(&alarm, wake) == 0 || watch_arm(&alarm, deadline) == 0;
		result = attempt(lock, blocks ? deadline : 0, looks.unclaimed, &claim);
		watch_disarm(&alarm);
		if (claim.lost)
			looks.unclaimed = claim.lost;
		if (result == CLAIM_EMPTY)
			result = judge_empty(lock, &looks, &claim);
		if (result == CLAIM_BUSY && pause_clock() >= wake)
			patience *= 2;
		// The flock is free, but the record names a living process: one that called exec, or a Python peer. The flock
		// was given up again, for the former wants it back.
		if (result == CLAIM_HELD) {
			watch_holder(claim.holder, lock->path, deadline, -1);
			lock->budget.end = 0;
		} else if (is_final(result)) {
			return conclude(result, &claim, outcome);
		} else {
			pause_us(LOOK_AGAIN_US);
		}
	}
	lock->budget.end = 0;
	// One that is ending has no file any more.
	holder = holder_find(lock->path, &lock->budget, &stays);
	if (holder != 0 || claim.holder == 0 || !process_alive(claim.holder, PROCESS_NO_STAMP))
		claim.holder = holder;
	return conclude(CLAIM_HELD, &claim, outcome);
}

bool lockfile_adopt(struct lockfile *lock, const struct mark *mark)
{
	int fd = mark->lock.number;
	struct stat status;

	// Only the holder's own open file description gets the flock here.
	if (fd < 0 || fstat(fd, &status) == -1 || !mark_is_of(mark, &status) || !claim_is_at(lock->path, &status) ||
	    flock(fd, LOCK_EX | LOCK_NB) == -1)
		return false;
	remember(lock, &status);
	lock->mapping = hold_map(fd);
	lock->descriptor = fd;
	return true;
}
