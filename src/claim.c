// SPDX-License-Identifier: MIT
#include "claim.h"

#include "keepers.h"
#include "procfile.h"
#include "scratch.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <libutil.h>
#include <sys/file.h>
#include <unistd.h>

// flopen(3) takes O_NONBLOCK for "do not wait for the lock"; opening the file does not wait in either case (door.c).
static int flags_of(bool block)
{
	return block ? RECORD_OPEN_FLAGS & ~O_NONBLOCK : RECORD_OPEN_FLAGS;
}

bool claim_open(const char *path, bool block, struct claim *claim)
{
	*claim = (struct claim){ .fd = flopen(path, O_RDWR | flags_of(block)), .writable = true };
	if (claim->fd != -1 || (errno != EACCES && errno != EROFS && errno != EPERM))
		return claim->fd != -1;
	// Another user's file, or our own from before a setuid(): what may be read can be locked and judged. If its owner has just
	// taken it away, there is none.
	*claim = (struct claim){ .fd = flopen(path, O_RDONLY | flags_of(block)) };
	return claim->fd != -1;
}

// With its mode from the first instant, whatever the umask: other users, and the next one of ours if we are killed now, are to
// read whose it is. Only where nobody else runs in this process.
static int create(const char *path, bool block)
{
	mode_t mask = umask(0);
	int fd = flopen(path, O_RDWR | O_CREAT | O_EXCL | flags_of(block), RECORD_MODE);
	int error = errno;

	(void)umask(mask);
	errno = error;
	return fd;
}

static int open_unnamed(const char *path)
{
	char *directory = scratch_get();
	int fd = -1;

	if (directory) {
		struct text text = text_in(directory, SCRATCH_SIZE);

		text_bytes(&text, path, (size_t)(text_basename(path) - path));
		fd = openat(AT_FDCWD, directory, O_TMPFILE | O_RDWR | RECORD_OPEN_FLAGS, RECORD_MODE);
	}
	scratch_free(directory);
	return fd;
}

// The same where other threads run: made without a name, locked, and then named.
static int create_beside_threads(const char *path)
{
	char unnamed[PROCFILE_PATH];
	struct text number = text_in(unnamed, sizeof(unnamed));
	int fd = open_unnamed(path);
	int error;

	if (fd == -1)
		return -1;
	text_add(&number, "/proc/self/fd/");
	text_number(&number, (uint64_t)fd);
	if (fchmod(fd, RECORD_MODE) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    linkat(AT_FDCWD, unnamed, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return fd;
	error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

static bool create_claim(const char *path, bool block, bool threads, struct claim *claim)
{
	*claim = (struct claim){ .fd = threads ? create_beside_threads(path) : create(path, block), .writable = true, .created = true };
	return claim->fd != -1;
}

// Mostly there is no file, or it is about to be waited for.
bool claim_open_or_create(const char *path, bool block, bool threads, struct claim *claim)
{
	bool create_first = !block && !threads;

	do {
		if (!create_first && (claim_open(path, block, claim) || errno != ENOENT))
			return claim->fd != -1;
		create_first = false;
		if (create_claim(path, block, threads, claim))
			return true;
	} while (errno == EEXIST);
	return false;
}

static bool is_at(const char *path, const struct stat *status, struct stat *now)
{
	return fstatat(AT_FDCWD, path, now, AT_SYMLINK_NOFOLLOW) == 0 && now->st_dev == status->st_dev && now->st_ino == status->st_ino;
}

bool claim_is_at(const char *path, const struct stat *status)
{
	struct stat now;

	return is_at(path, status, &now);
}

// One look tells both, or somebody could take the second of two links away, the one at our path, between two.
static bool is_alone_at(const char *path, const struct stat *status)
{
	struct stat now;

	return is_at(path, status, &now) && now.st_nlink == 1;
}

static enum claim_result fail(struct claim *claim, int error, const char *why)
{
	claim->error = error;
	claim->why = why;
	return CLAIM_FAILED;
}

static enum claim_result write_record(const char *path, const struct process_self *self, struct claim *claim)
{
	if (record_write(claim->fd, self->pid, self->start, &claim->status) == -1) {
		int error = errno;

		if (claim->created && claim_is_at(path, &claim->status))
			(void)unlink(path);
		return fail(claim, error, NULL);
	}
	return CLAIM_TAKEN;
}

// Whether a process keeps the lock that neither has the flock nor is in the record. The hint is whoever's the file is: a stranger's
// costs no look.
static pid_t find_mapper(const char *path, const struct stat *status, struct budget *budget)
{
	const struct mapped_file file = { .device = status->st_dev, .inode = status->st_ino, .path = path, .budget = budget };

	if (!(record_hints(status) & RECORD_HINT_MAPPED))
		return 0;
	budget_owe(budget);
	return keepers_find_any(&file);
}

void claim_set_holder(struct claim *claim, const struct record *record)
{
	claim->holder = record->pid;
	claim->vouched = record_is_credible(record, &claim->status);
	claim->nameless = record->pid == 1 && record->stamp == PROCESS_NO_STAMP;
}

// Under the record lock.
static enum claim_result judge_record(const char *path, const struct process_self *self, ino_t unclaimed, struct budget *budget,
				      struct claim *claim)
{
	struct record record;

	if (record_read(claim->fd, &record, &claim->status) == -1)
		return fail(claim, errno, NULL);
	if (record_is_of(&record, self))
		return CLAIM_OWN;
	// Others have had it before we got its flock: it may have been left behind like any other.
	if (!record.empty)
		claim->created = false;
	if (record.empty && !claim->created && claim->status.st_ino != unclaimed)
		return CLAIM_EMPTY;
	// A living process with our PID is we ourselves.
	if (record.pid != self->pid && record_is_alive(&record))
		claim_set_holder(claim, &record);
	else
		claim->holder = find_mapper(path, &claim->status, budget);
	if (claim->holder != 0)
		return CLAIM_HELD;
	// A file that is elsewhere by now may be anything of ours: nothing is written into it.
	if (claim->writable && !claim->created && !is_alone_at(path, &claim->status))
		return CLAIM_AGAIN;
	if (claim->writable && write_record(path, self, claim) == CLAIM_FAILED)
		return CLAIM_FAILED;
	if (claim_is_at(path, &claim->status))
		return CLAIM_TAKEN;
	// At the next look it would be taken for our own from before exec, if it is there after all.
	if (claim->writable)
		(void)ftruncate(claim->fd, 0);
	return CLAIM_AGAIN;
}

enum claim_result claim_judge(const char *path, const struct process_self *self, ino_t unclaimed, struct budget *budget, struct claim *claim)
{
	enum claim_result result;

	if (fstat(claim->fd, &claim->status) == -1)
		return fail(claim, errno, NULL);
	if (!S_ISREG(claim->status.st_mode))
		return fail(claim, 0, "is not a regular file");
	if (claim->status.st_nlink > 1)
		return fail(claim, 0, "has more than one link");
	claim->left = (record_hints(&claim->status) & RECORD_HINT_LEFT) != 0;
	claim->unread = record_lock(claim->fd, claim->writable ? F_WRLCK : F_RDLCK, &claim->holder) == -1;
	if (claim->unread)
		return errno == EWOULDBLOCK ? CLAIM_HELD : fail(claim, errno, NULL);
	result = judge_record(path, self, unclaimed, budget, claim);
	record_unlock(claim->fd);
	return result;
}

// Under the record lock.
static bool delete_locked(const char *path, int fd, dev_t device, ino_t inode, const struct record *last)
{
	struct record record;
	struct stat status;

	// A forked sibling may have deleted the file before us, and this is a newcomer's: hands off.
	if (record_read(fd, &record, &status) == -1 || status.st_dev != device || status.st_ino != inode || record.empty ||
	    !record_is_same(&record, last) || (record.pid != getpid() && record_is_alive(&record)) || !claim_is_at(path, &status) ||
	    unlink(path) == -1)
		return false;
	record_close(fd, &status);
	return true;
}

bool claim_delete(const char *path, int fd, dev_t device, ino_t inode, const struct record *last)
{
	bool deleted;
	pid_t writer;

	// A file that may only be read takes no writer's lock.
	if (record_lock(fd, F_WRLCK, &writer) == -1 && (errno != EBADF || record_lock(fd, F_RDLCK, &writer) == -1))
		return false;
	deleted = delete_locked(path, fd, device, inode, last);
	record_unlock(fd);
	return deleted;
}
