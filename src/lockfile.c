// SPDX-License-Identifier: MIT
#include "lockfile.h"

#include "descriptor.h"
#include "holder.h"
#include "pause.h"
#include "record.h"
#include "tombstone.h"
#include "watch.h"

#include <libutil.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MILLISECOND UINT64_C(1000000)

// How long a busy flock without a living holder is looked at again.
#define PATIENCE_NS (200 * MILLISECOND)
// How long an own lock is tried for again after exec; contenders have it for microseconds.
#define RESUME_NS (1000 * MILLISECOND)
// How long a start that does not wait lets a predecessor die that has deleted the file already.
#define DYING_NS (1000 * MILLISECOND)
// How long a waiter keeps the flock, and with it its turn, while the process that gave it up is still dying.
#define LINGER_NS (1000 * MILLISECOND)
// How long a peer may take between creating the file and writing its PID.
#define EMPTY_NS (40 * MILLISECOND)
#define LOOK_AGAIN_US 500

// Not O_CREAT: with fs.protected_regular the kernel refuses that on another user's file in a sticky directory. Not
// blocking on a FIFO that somebody planted.
#define OPEN_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

enum attempt { TAKEN, HELD, FAILED, BUSY, EMPTY, AGAIN };

// The file, opened and locked.
struct claim {
	int fd;
	bool created;
	bool writable;
};

// flopen(3) takes O_NONBLOCK for "do not wait for the lock".
static bool open_existing(const char *path, int flags, struct claim *claim)
{
	int error;

	*claim = (struct claim){ .fd = flopen(path, O_RDWR | flags), .writable = true };
	if (claim->fd != -1 || (errno != EACCES && errno != EROFS && errno != EPERM))
		return claim->fd != -1;
	// Another user's file, or our own from before a setuid(): what may be read can be locked and judged.
	error = errno;
	*claim = (struct claim){ .fd = flopen(path, O_RDONLY | flags) };
	if (claim->fd == -1 && errno == ENOENT)
		errno = error;
	return claim->fd != -1;
}

static bool open_or_create(const char *path, bool block, struct claim *claim)
{
	int flags = block ? OPEN_FLAGS & ~O_NONBLOCK : OPEN_FLAGS;

	do {
		if (open_existing(path, flags, claim) || errno != ENOENT)
			return claim->fd != -1;
		*claim = (struct claim){ .writable = true, .created = true };
		claim->fd = flopen(path, O_RDWR | O_CREAT | O_EXCL | flags, 0644);
	} while (claim->fd == -1 && errno == EEXIST);
	return claim->fd != -1;
}

// Whether the path still leads to the file of STATUS: a Python peer deletes it without a flock.
static bool still_at(const char *path, const struct stat *status)
{
	struct stat now;

	return fstatat(AT_FDCWD, path, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == status->st_dev &&
	       now.st_ino == status->st_ino;
}

static enum attempt fail(struct lockfile_outcome *outcome, int error, const char *why)
{
	outcome->error = error;
	outcome->why = why;
	return FAILED;
}

// Looks whose the file is and, if nobody's, writes our record. Under the short record lock.
static enum attempt judge(const struct lockfile *lock, const struct claim *claim, bool accept_empty,
			  struct stat *status, bool *own, struct lockfile_outcome *outcome)
{
	struct record record;

	if (record_read(claim->fd, &record, status) == -1)
		return fail(outcome, errno, NULL);
	*own = record_is_of(&record, &lock->self);
	if (*own)
		return TAKEN;
	if (record.empty && !claim->created && !accept_empty)
		return EMPTY;
	// A living process with our PID is we ourselves.
	if (record.pid != lock->self.pid && record_is_alive(&record)) {
		outcome->holder = record.pid;
		return HELD;
	}
	if (claim->writable && record_write(claim->fd, lock->self.pid, lock->self.start, status) == -1) {
		int error = errno;

		if (claim->created && still_at(lock->path, status))
			(void)unlink(lock->path);
		return fail(outcome, error, NULL);
	}
	return still_at(lock->path, status) ? TAKEN : AGAIN;
}

static enum attempt judge_locked(const struct lockfile *lock, const struct claim *claim, bool accept_empty,
				 struct stat *status, bool *own, struct lockfile_outcome *outcome)
{
	enum attempt attempt;
	pid_t writer;

	if (fstat(claim->fd, status) == -1)
		return fail(outcome, errno, NULL);
	if (!S_ISREG(status->st_mode))
		return fail(outcome, 0, "is not a regular file");
	if (status->st_nlink > 1)
		return fail(outcome, 0, "has more than one link");
	// Whatever the umask made of it: other users are to read whose it is.
	if (claim->created && (status->st_mode & 07777) != 0644)
		(void)fchmod(claim->fd, 0644);
	if (record_lock(claim->fd, claim->writable ? F_WRLCK : F_RDLCK, &writer) == -1) {
		outcome->holder = writer;
		return errno == EWOULDBLOCK ? HELD : fail(outcome, errno, NULL);
	}
	attempt = judge(lock, claim, accept_empty, status, own, outcome);
	record_unlock(claim->fd);
	return attempt;
}

// Keeps the flock beyond the descriptor. A mapping holds the open file description, survives every close() and fork, and
// is gone with exec. Without memory for it the descriptor stays, out of the way.
static bool keep(struct lockfile *lock, int fd, const struct stat *status)
{
	lock->device = status->st_dev;
	lock->inode = status->st_ino;
	lock->mapping = mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0);
	if (lock->mapping == MAP_FAILED)
		lock->mapping = NULL;
	if (lock->keep_descriptor || !lock->mapping)
		lock->descriptor = descriptor_move_high(fd, lock->keep_descriptor);
	else
		(void)close(fd);
	return lock->mapping || lock->descriptor != -1;
}

// The program may have closed every descriptor, and have another file under this number.
static void release_descriptor(struct lockfile *lock)
{
	struct stat status;

	if (lock->descriptor != -1 && fstat(lock->descriptor, &status) == 0 && status.st_dev == lock->device &&
	    status.st_ino == lock->inode)
		(void)close(lock->descriptor);
	lock->descriptor = -1;
}

static void release(struct lockfile *lock)
{
	if (lock->mapping)
		(void)munmap(lock->mapping, 1);
	lock->mapping = NULL;
	release_descriptor(lock);
}

// Leaves the flock to the kernel, which at the end of a process closes its descriptors newest first, but runs the final close
// of a mapping's file, queued before them all, after them: so that is to be the last to have it.
static void leave_to_kernel(struct lockfile *lock)
{
	if (lock->mapping)
		release_descriptor(lock);
}

// The name is ours, but whoever deleted the file before us may not be quite gone.
static enum attempt await_predecessor(struct lockfile *lock, uint64_t deadline, const struct stat *status,
				      struct lockfile_outcome *outcome)
{
	if (tombstone_await(lock->path, deadline, &outcome->holder) == 0)
		return TAKEN;
	if (still_at(lock->path, status))
		(void)unlink(lock->path);
	release(lock);
	return HELD;
}

// One attempt. DEADLINE 0: none waits; otherwise the call blocks until the flock is ours (watch_arm ends it).
static enum attempt attempt(struct lockfile *lock, uint64_t deadline, bool accept_empty,
			    struct lockfile_outcome *outcome)
{
	uint64_t dying_deadline = deadline ? deadline : pause_clock() + DYING_NS;
	enum attempt result;
	struct claim claim;
	struct stat status;
	bool own = false;

	*outcome = (struct lockfile_outcome){ 0 };
	if (!open_or_create(lock->path, deadline != 0, &claim))
		return errno == EWOULDBLOCK || errno == EINTR ? BUSY : fail(outcome, errno, NULL);
	claim.fd = descriptor_move_up(claim.fd);
	result = judge_locked(lock, &claim, accept_empty, &status, &own, outcome);
	if (deadline && result == HELD && process_is_ending(outcome->holder) &&
	    watch_process(outcome->holder, pause_clock() + LINGER_NS) == 0)
		result = judge_locked(lock, &claim, accept_empty, &status, &own, outcome);
	if (result != TAKEN) {
		(void)close(claim.fd);
		return result;
	}
	lock->resumed = own;
	if (!keep(lock, claim.fd, &status))
		return fail(outcome, ENOMEM, NULL);
	if (own)
		return TAKEN;
	// Left behind by a process that did not end by exit(), or by one forked from it, which no record names.
	if (!claim.created)
		holder_await_endings();
	return await_predecessor(lock, dying_deadline, &status, outcome);
}

static void remember(struct lockfile *lock, const struct stat *status)
{
	lock->device = status->st_dev;
	lock->inode = status->st_ino;
	lock->resumed = true;
}

// The record is our own, from before exec, but the flock is busy. Mostly a contender has it for an instant; a child of ours
// from before may have it for good, and a second copy of this library in this very process has it already. The record
// alone holds the lock, so none of this may make the program fail.
static void resume(struct lockfile *lock, const struct stat *status)
{
	const struct mapped_file file = { status->st_dev, status->st_ino, lock->path };
	uint64_t end = pause_clock() + RESUME_NS;
	struct lockfile_outcome ignored;

	remember(lock, status);
	if (process_maps(0, &file))
		return;
	for (int tries = 1; pause_clock() < end; tries++) {
		if (attempt(lock, 0, true, &ignored) == TAKEN)
			return;
		if (tries % 16 == 0 && process_find_mapper(&file) != 0)
			return;
		pause_us(LOOK_AGAIN_US);
	}
}

// The flock is busy: who says the record? TAKEN: we ourselves. BUSY: nobody who lives.
static enum attempt judge_busy(struct lockfile *lock, struct lockfile_outcome *outcome)
{
	struct record record;
	struct stat status;

	if (record_peek(lock->path, &record, &status) == -1)
		return errno == ENOENT ? AGAIN : BUSY;
	if (record_is_of(&record, &lock->self)) {
		resume(lock, &status);
		return TAKEN;
	}
	outcome->holder = record.pid;
	return record_is_alive(&record) ? HELD : BUSY;
}

enum lockfile_result lockfile_try(struct lockfile *lock, bool patient, struct lockfile_outcome *outcome)
{
	uint64_t start = pause_clock();

	for (;;) {
		uint64_t waited = pause_clock() - start;
		enum attempt result = attempt(lock, 0, waited > EMPTY_NS, outcome);

		if (result == BUSY)
			result = judge_busy(lock, outcome);
		if (result == TAKEN)
			return LOCKFILE_TAKEN;
		if (result == HELD)
			return LOCKFILE_HELD;
		if (result == FAILED)
			return LOCKFILE_ERROR;
		if (result == BUSY && (!patient || waited > PATIENCE_NS)) {
			outcome->holder = holder_find(lock->path);
			return LOCKFILE_HELD;
		}
		pause_us(LOOK_AGAIN_US);
	}
}

// Tells the holder that somebody waits, so that it does not delete the file under us at its end: all who wait would wake,
// and queue again in any order. A bit of the file's mode that means nothing there; setting it leaves the stamp alone.
static void announce(const char *path)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | OPEN_FLAGS);
	struct stat status;

	if (fd == -1)
		return;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 && !(status.st_mode & S_ISVTX))
		(void)fchmod(fd, (status.st_mode & 07777) | S_ISVTX);
	(void)close(fd);
}

enum lockfile_result lockfile_wait(struct lockfile *lock, uint64_t deadline, struct lockfile_outcome *outcome)
{
	uint64_t start = pause_clock();

	while (pause_clock() < deadline) {
		enum attempt result;

		announce(lock->path);
		if (watch_arm(deadline) == -1) {
			fail(outcome, errno, NULL);
			return LOCKFILE_ERROR;
		}
		result = attempt(lock, deadline, pause_clock() - start > EMPTY_NS, outcome);
		watch_disarm();
		if (result == TAKEN)
			return LOCKFILE_TAKEN;
		if (result == FAILED)
			return LOCKFILE_ERROR;
		// The flock is free, but the record names a living process: one that called exec, or a Python peer. The flock
		// was given up again, for the former wants it back.
		if (result == HELD)
			watch_holder(outcome->holder, lock->path, deadline);
		else if (result != BUSY)
			pause_us(LOOK_AGAIN_US);
	}
	outcome->holder = holder_find(lock->path);
	return LOCKFILE_HELD;
}

bool lockfile_adopt(struct lockfile *lock, int descriptor, ino_t inode)
{
	struct stat status;

	// Only the holder's own open file description gets the flock here.
	if (fstat(descriptor, &status) == -1 || status.st_ino != inode || !still_at(lock->path, &status) ||
	    flock(descriptor, LOCK_EX | LOCK_NB) == -1)
		return false;
	remember(lock, &status);
	lock->mapping = mmap(NULL, 1, PROT_NONE, MAP_SHARED, descriptor, 0);
	if (lock->mapping == MAP_FAILED)
		lock->mapping = NULL;
	lock->descriptor = descriptor;
	return true;
}

// Deletes the file if nobody else has a claim to it. CLAIM keeps its flock until the process is gone.
static void delete(const struct lockfile *lock, const struct claim *claim)
{
	struct record record;
	struct stat status;

	// A forked sibling may have deleted the file before us, and this is a newcomer's: hands off.
	if (record_read(claim->fd, &record, &status) == -1 || status.st_dev != lock->device ||
	    status.st_ino != lock->inode || record.empty || (record.pid != getpid() && record_is_alive(&record))) {
		(void)close(claim->fd);
		return;
	}
	(void)unlink(lock->path);
}

bool lockfile_leave(struct lockfile *lock)
{
	const struct mapped_file file = { lock->device, lock->inode, lock->path };
	struct record record;
	struct claim claim;
	struct stat status;

	if (record_peek(lock->path, &record, &status) == -1 || status.st_dev != lock->device ||
	    status.st_ino != lock->inode)
		return true;
	// A worker: what it shares with the holder ends when it does.
	if (record.pid != getpid() && record_is_alive(&record)) {
		leave_to_kernel(lock);
		return false;
	}
	if ((status.st_mode & S_ISVTX) && process_has_waiters(&file)) {
		leave_to_kernel(lock);
		return !holder_hand_on(&file, false);
	}
	// Whether we are the last can only be tried by giving our part up. From here the tombstone alone keeps others out; where
	// there is none, everything stays as it is, and a stale file is harmless.
	if (tombstone_raise(lock->path) == -1) {
		leave_to_kernel(lock);
		return true;
	}
	release(lock);
	if (!open_existing(lock->path, OPEN_FLAGS, &claim)) {
		if (errno != EWOULDBLOCK)
			return true;
		if (holder_hand_on(&file, true))
			return false;
		if (!open_existing(lock->path, OPEN_FLAGS, &claim))
			return true;
	}
	delete(lock, &claim);
	return true;
}
