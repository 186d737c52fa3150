// SPDX-License-Identifier: MIT
// The end of a lock: lockfile_release() in a process that goes on, lockfile_leave() in one that ends.
#include "claim.h"
#include "hold.h"
#include "holder.h"
#include "keepers.h"
#include "lockfile.h"
#include "record.h"
#include "tombstone.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_PROCESS 1

// Under the record lock. A Python peer that opened the file before does not look whether it still is at the path: in a deleted
// one it has to find a living process, and the first one always lives.
static bool delete_locked(const struct lockfile *lock, const struct claim *claim)
{
	struct record record;
	struct stat status;

	// A forked sibling may have deleted the file before us, and this is a newcomer's: hands off.
	if (record_read(claim->fd, &record, &status) == -1 || status.st_dev != lock->device ||
	    status.st_ino != lock->inode || record.empty || (record.pid != getpid() && record_is_alive(&record)))
		return false;
	if (unlink(lock->path) == 0 && claim->writable)
		(void)record_write(claim->fd, FIRST_PROCESS, PROCESS_START_UNKNOWN, &status);
	return true;
}

// Deletes the file if nobody else has a claim to it. False: somebody has.
static bool delete(const struct lockfile *lock, const struct claim *claim)
{
	bool deleted;
	pid_t writer;

	if (record_lock(claim->fd, claim->writable ? F_WRLCK : F_RDLCK, &writer) == -1)
		return false;
	deleted = delete_locked(lock, claim);
	record_unlock(claim->fd);
	return deleted;
}

// Makes the record name nobody: a PID that no process can have. An empty record would be a peer's about to be written.
static void disown_record(int fd)
{
	struct record record;
	struct stat status;
	pid_t writer;

	if (record_lock(fd, F_WRLCK, &writer) == -1)
		return;
	if (record_read(fd, &record, &status) == 0 && record.pid == getpid())
		(void)record_write(fd, INT32_MAX, PROCESS_START_UNKNOWN, &status);
	record_unlock(fd);
}

void lockfile_release(struct lockfile *lock)
{
	const struct mapped_file file = { lock->device, lock->inode, lock->path };
	struct claim claim;
	struct stat status;
	bool alone;

	hold_end(lock);
	hold_end_replaced(lock);
	// Busy: a contender has the flock for an instant, or a child that was forked from us has it for good.
	alone = claim_open(lock->path, false, &claim);
	if (!alone)
		claim.fd = record_open(lock->path, O_RDWR, &status);
	if (claim.fd == -1)
		return;
	if (fstat(claim.fd, &status) == 0 && status.st_dev == lock->device && status.st_ino == lock->inode) {
		if (!alone || ((status.st_mode & RECORD_HINT_WAITERS) && keepers_has_waiters(&file)))
			disown_record(claim.fd);
		else
			(void)delete(lock, &claim);
	}
	(void)close(claim.fd);
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
		hold_leave_to_kernel(lock);
		return false;
	}
	if ((status.st_mode & RECORD_HINT_WAITERS) && keepers_has_waiters(&file)) {
		hold_leave_to_kernel(lock);
		return !holder_hand_on(&file, false);
	}
	// Whether we are the last can only be tried by giving our part up. From here the tombstone alone keeps others out; where
	// there is none, everything stays as it is, and a stale file is harmless.
	if (tombstone_raise(lock->path) == -1) {
		hold_leave_to_kernel(lock);
		return true;
	}
	hold_end(lock);
	if (!claim_open(lock->path, false, &claim)) {
		if (errno != EWOULDBLOCK)
			return true;
		if (holder_hand_on(&file, true))
			return false;
		if (!claim_open(lock->path, false, &claim))
			return true;
	}
	if ((status.st_mode & RECORD_HINT_MAPPED) && holder_hand_on_mapped(&file))
		return false;
	// Deleted, its flock is kept until this process is gone.
	if (!delete(lock, &claim))
		(void)close(claim.fd);
	return true;
}
