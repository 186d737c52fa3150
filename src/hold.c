// SPDX-License-Identifier: MIT
#include "hold.h"

#include "descriptor.h"
#include "record.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define AUFS_SUPER_MAGIC 0x61756673

void *hold_map(int fd)
{
	void *mapping = mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0);

	return mapping == MAP_FAILED ? NULL : mapping;
}

// Whether a mapping of FD's file holds FD's own open file description. On a file system that lies over others it holds the one
// of a file below instead, and the flock ends with the descriptor.
static bool mapping_keeps(int fd, dev_t device)
{
	static const unsigned long layered[] = { OVERLAYFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, CODA_SUPER_MAGIC, AUFS_SUPER_MAGIC };
	struct statfs status;

	// Mostly it is a tmpfs, which is known by now.
	if (!record_outlives_boot(fd, device) || fstatfs(fd, &status) == -1)
		return true;
	for (unsigned i = 0; i < sizeof(layered) / sizeof(*layered); i++)
		if ((unsigned long)status.f_type == layered[i])
			return false;
	return true;
}

// What is exec'd is to know whose FD was: a process of another PID namespace may have our PID, and a mark is replayed as easily as any
// variable.
static void leave_open(const struct lockfile *lock, int fd)
{
	(void)fcntl(fd, F_SETOWN, lock->self.pid);
}

// With hardly a number to spare the copy would be in the command's way, and nobody gets one that he could write with. The descriptor itself is
// closed by exec.
static void hand_over(struct lockfile *lock, int fd, bool writes)
{
	int copy = writes ? -1 : descriptor_copy_high(fd, true);

	lock->descriptor = fd;
	if (copy == -1)
		return;
	lock->handed = copy;
	leave_open(lock, copy);
}

// A mapping holds the open file description, survives every close() and fork, and is gone with exec. Without memory for it, or where it
// would not do, the descriptor stays, out of the way.
static void keep(struct lockfile *lock, int fd)
{
	lock->mapping = hold_map(fd);
	if (!lock->mapping || lock->layered)
		lock->descriptor = descriptor_move_high(fd, false);
	else
		(void)close(fd);
}

void hold_keep(struct lockfile *lock, const struct claim *claim)
{
	const bool writes = claim->writable && claim->fd == claim->held;

	lock->device = claim->status.st_dev;
	lock->inode = claim->status.st_ino;
	lock->recorded = claim->status.st_size > 0;
	lock->layered = !mapping_keeps(claim->held, claim->status.st_dev);
	// In a tree even those are to hold who lose the descriptor between fork and exec; they may not be able to say so. So are
	// those who close it, a daemon for one, where the mapping alone does not hold the flock.
	if (lock->keep_descriptor || lock->layered)
		record_hint(claim->fd, &claim->status, RECORD_HINT_MAPPED);
	if (claim->fd != claim->held)
		(void)close(claim->fd);
	if (lock->unmapped) {
		lock->descriptor = claim->held;
	} else if (lock->keep_descriptor) {
		lock->mapping = hold_map(claim->held);
		lock->descriptor = descriptor_move_high(claim->held, true);
		leave_open(lock, lock->descriptor);
	} else if (lock->hands_over) {
		hand_over(lock, claim->held, writes);
	} else {
		keep(lock, claim->held);
	}
}

void hold_adopt(struct lockfile *lock, const struct mark_descriptor *descriptor)
{
	lock->device = descriptor->device;
	lock->inode = descriptor->inode;
	lock->layered = (descriptor->flags & MARK_LAYERED) != 0;
	lock->unwritable = (descriptor->flags & MARK_STAYS) != 0;
	lock->keep_descriptor = (descriptor->flags & (MARK_STAYS | MARK_TREE)) != 0;
	lock->resumed = true;
	// The record alone may have been had, while somebody looks at a dead holder's memory.
	lock->shares = flock(descriptor->number, LOCK_EX | LOCK_NB) == -1;
	lock->mapping = hold_map(descriptor->number);
	if (lock->mapping && !lock->layered && !lock->keep_descriptor) {
		(void)close(descriptor->number);
		return;
	}
	lock->descriptor = descriptor->number;
	if (!lock->keep_descriptor)
		(void)fcntl(lock->descriptor, F_SETFD, FD_CLOEXEC);
}

// The program may have closed every descriptor, and have another file under this number.
void hold_close(struct lockfile *lock)
{
	struct stat status;

	if (lock->handed)
		(void)close(lock->handed);
	lock->handed = 0;
	if (lock->descriptor != -1 && fstat(lock->descriptor, &status) == 0 && status.st_dev == lock->device &&
	    status.st_ino == lock->inode)
		(void)close(lock->descriptor);
	lock->descriptor = -1;
}

void hold_end(struct lockfile *lock)
{
	if (lock->mapping)
		(void)munmap(lock->mapping, 1);
	lock->mapping = NULL;
	// It may be of the description that has the flock.
	if (lock->page)
		(void)munmap(lock->page, 1);
	lock->page = NULL;
	hold_close(lock);
}

// Leaves the flock to the kernel, which at the end of a process closes its descriptors newest first, but runs the final close
// of a mapping's file, queued before them all, after them: so that is to be the last to have it.
void hold_leave_to_kernel(struct lockfile *lock)
{
	if (lock->mapping)
		hold_close(lock);
}
