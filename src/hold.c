// SPDX-License-Identifier: MIT
#include "hold.h"

#include "descriptor.h"
#include "record.h"

#include <linux/magic.h>
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

// Keeps the flock beyond the descriptor. A mapping holds the open file description, survives every close() and fork, and
// is gone with exec. Without memory for it, or where it would not do, the descriptor stays, out of the way.
void hold_keep(struct lockfile *lock, int fd, const struct stat *status)
{
	bool mapping_suffices;

	lock->device = status->st_dev;
	lock->inode = status->st_ino;
	lock->recorded = status->st_size > 0;
	if (lock->brief && !lock->keep_descriptor) {
		lock->descriptor = fd;
		return;
	}
	mapping_suffices = !lock->keep_descriptor && mapping_keeps(fd, status->st_dev);

	// In a tree even those are to hold who lose the descriptor between fork and exec; they may not be able to say so. So are
	// those who close it, a daemon for one, where the mapping alone does not hold the flock.
	if (!mapping_suffices)
		record_hint(fd, status, RECORD_HINT_MAPPED);
	lock->mapping = hold_map(fd);
	if (!lock->mapping || !mapping_suffices)
		lock->descriptor = descriptor_move_high(fd, lock->keep_descriptor);
	else
		(void)close(fd);
}

// The program may have closed every descriptor, and have another file under this number.
void hold_close(struct lockfile *lock)
{
	struct stat status;

	if (lock->descriptor != -1 && fstat(lock->descriptor, &status) == 0 && status.st_dev == lock->device &&
	    status.st_ino == lock->inode)
		(void)close(lock->descriptor);
	lock->descriptor = -1;
}

void hold_end(struct lockfile *lock)
{
	void *mapping = lock->mapping;

	// In this order: a child that is forked between the two may take away what is written here (exclusivelock.c).
	lock->mapping = NULL;
	if (mapping)
		(void)munmap(mapping, 1);
	hold_close(lock);
}

// Leaves the flock to the kernel, which at the end of a process closes its descriptors newest first, but runs the final close
// of a mapping's file, queued before them all, after them: so that is to be the last to have it.
void hold_leave_to_kernel(struct lockfile *lock)
{
	if (lock->mapping)
		hold_close(lock);
}
