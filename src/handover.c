// SPDX-License-Identifier: MIT
#include "handover.h"

#include "fdinfo.h"
#include "hold.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// The kernel keeps the very process with the open file (hold.c), not just its number, which another one may have in a PID namespace of its own.
static bool is_own(const struct mark *mark, int fd)
{
	pid_t pid = getpid();

	return mark->pid == pid && fcntl(fd, F_GETOWN) == pid;
}

enum handover handover_look(const struct mark *mark, const struct mark_descriptor *descriptor)
{
	int fd = descriptor->number;
	struct stat status;

	if (fd < 0 || fstat(fd, &status) == -1 || status.st_dev != descriptor->device || status.st_ino != descriptor->inode)
		return HANDOVER_GONE;
	if (is_own(mark, fd))
		return HANDOVER_OWN;
	return fdinfo_has_flock(fd) ? HANDOVER_INHERITED : HANDOVER_GONE;
}

// Whether the outer DESCRIPTOR is to stay open.
static bool settle(const struct mark *mark, const struct mark_descriptor *descriptor)
{
	struct lockfile outer = { .descriptor = -1 };
	enum handover whose = handover_look(mark, descriptor);

	if (whose == HANDOVER_INHERITED && !(descriptor->flags & MARK_TREE))
		(void)close(descriptor->number);
	else if (whose != HANDOVER_GONE)
		hold_adopt(&outer, descriptor);
	return outer.keep_descriptor;
}

void handover_settle_outer(struct mark *mark)
{
	int count = mark->outers;

	mark->outers = 0;
	for (int i = 0; i < count; i++)
		if (settle(mark, &mark->outer[i]))
			mark->outer[mark->outers++] = mark->outer[i];
}

static void carry(struct mark *carried, const struct mark_descriptor *descriptor)
{
	int gone = mark_add_outer(carried, descriptor);

	if (gone != -1)
		(void)close(gone);
}

// What is open on the file of STATUS, which this process is about to take, is not carried on: it is returned. 0: it is another file's.
static int bring_one(const struct mark *mark, const struct mark_descriptor *descriptor, const struct stat *status, struct mark *carried)
{
	enum handover whose = handover_look(mark, descriptor);
	bool is_same = descriptor->device == status->st_dev && descriptor->inode == status->st_ino;
	int found = 0;

	if (whose == HANDOVER_GONE)
		return 0;
	if (is_same && (whose == HANDOVER_OWN || !(descriptor->flags & MARK_TREE)))
		return descriptor->number;
	// In a tree the descriptor stays open, whatever becomes of this start.
	if (is_same)
		found = fcntl(descriptor->number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (whose == HANDOVER_OWN || (descriptor->flags & MARK_TREE))
		carry(carried, descriptor);
	else
		(void)close(descriptor->number);
	return found > 0 ? found : 0;
}

int handover_bring(const struct mark *mark, const char *path, struct mark *carried)
{
	struct stat status;
	int found = 0;

	// Once: flopen(3) is stopped when a path is not there at many looks in a row (door.c).
	if (fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == -1)
		status = (struct stat){ .st_ino = 0 };
	for (int i = 0; i < mark->outers; i++) {
		int fd = bring_one(mark, &mark->outer[i], &status, carried);

		found = fd ? fd : found;
	}
	if (mark->lock.number >= 0) {
		int fd = bring_one(mark, &mark->lock, &status, carried);

		found = fd ? fd : found;
	}
	return found;
}
