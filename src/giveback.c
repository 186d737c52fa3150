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

// With the flock in hand again, before the name goes with the file: a process that was forked from the holder may still be ending
// that the flock has left first. Over a file that stays, or is taken over, newcomers look for such processes; behind a fresh one
// they would not know of them.
static void await_family(const struct lockfile *lock)
{
	if (getpid() != lock->self.pid || process_has_children())
		holder_await_endings();
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
	// Busy: a contender has the flock for an instant, or a child that was forked from us has it for good.
	alone = claim_open(lock->path, false, &claim);
	if (!alone)
		claim.fd = record_open(lock->path, O_RDWR, &status);
	if (claim.fd == -1)
		return;
	if (fstat(claim.fd, &status) == 0 && status.st_dev == lock->device && status.st_ino == lock->inode) {
		if (!alone || ((status.st_mode & RECORD_HINT_WAITERS) && keepers_has_waiters(&file))) {
			disown_record(claim.fd);
		} else {
			await_family(lock);
			(void)claim_delete(lock->path, claim.fd, lock->device, lock->inode);
		}
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
	await_family(lock);
	// Deleted, its flock is kept until this process is gone.
	if (!claim_delete(lock->path, claim.fd, lock->device, lock->inode))
		(void)close(claim.fd);
	return true;
}
