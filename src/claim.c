// SPDX-License-Identifier: MIT
#include "claim.h"

#include "descriptor.h"
#include "keepers.h"
#include "lockdir.h"
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

static bool may_not_write(int error)
{
	return error == EACCES || error == EROFS || error == EPERM;
}

// Two descriptors may be one too many; and a file system that has flock(2) by locks of its server's, NFS, wants to write for it. Then one has to do.
static bool is_too_much(int error)
{
	return error == EMFILE || error == EBADF;
}

static void close_keeping_errno(int fd)
{
	int error = errno;

	(void)close(fd);
	errno = error;
}

// Another file may be at the path by now: claim_judge() looks whether both are the same.
static bool open_record(const char *path, struct claim *claim)
{
	claim->fd = openat(AT_FDCWD, path, O_RDWR | RECORD_OPEN_FLAGS);
	claim->writable = claim->fd != -1;
	if (!claim->writable && may_not_write(errno))
		claim->fd = claim->held;
	if (claim->fd == -1) {
		close_keeping_errno(claim->held);
		claim->held = -1;
	}
	return claim->fd != -1;
}

static bool open_apart(const char *path, bool block, struct claim *claim)
{
	*claim = (struct claim){ .held = flopen(path, O_RDONLY | flags_of(block)), .fd = -1 };
	return claim->held != -1 && open_record(path, claim);
}

bool claim_open(const char *path, const struct claim_way *way, struct claim *claim)
{
	if (way->apart && (open_apart(path, way->block, claim) || !is_too_much(errno)))
		return claim->fd != -1;
	*claim = (struct claim){ .fd = flopen(path, O_RDWR | flags_of(way->block)), .writable = true };
	// Another user's file, or our own from before a setuid(): what may be read can be locked and judged. If its owner has just
	// taken it away, there is none.
	if (claim->fd == -1 && may_not_write(errno))
		*claim = (struct claim){ .fd = flopen(path, O_RDONLY | flags_of(way->block)) };
	claim->held = claim->fd;
	return claim->fd != -1;
}

bool claim_inherit(const char *path, int held, struct claim *claim)
{
	struct stat status;

	*claim = (struct claim){ .held = held, .fd = -1 };
	if (flock(held, LOCK_EX | LOCK_NB) == 0 && fstat(held, &status) == 0 && claim_is_at(path, &status) &&
	    fcntl(held, F_SETFD, FD_CLOEXEC) == 0)
		return open_record(path, claim);
	(void)close(held);
	return false;
}

// CLAIM's file for reading only; -1: it cannot be had.
static int open_for_reading(const char *path, const struct claim *claim)
{
	struct stat status;
	int fd = openat(AT_FDCWD, path, O_RDONLY | RECORD_OPEN_FLAGS);

	if (fd == -1 || (fstat(fd, &status) == 0 && status.st_dev == claim->status.st_dev && status.st_ino == claim->status.st_ino))
		return fd;
	(void)close(fd);
	return -1;
}

void claim_part(const char *path, struct claim *claim)
{
	int fd = open_for_reading(path, claim);

	if (fd != -1)
		claim->held = fd;
}

void claim_move_up(struct claim *claim)
{
	bool apart = claim->fd != claim->held;

	claim->held = descriptor_move_up(claim->held);
	claim->fd = apart ? descriptor_move_up(claim->fd) : claim->held;
}

void claim_close(const struct claim *claim)
{
	if (claim->fd != claim->held)
		(void)close(claim->fd);
	(void)close(claim->held);
}

// With its mode from the first instant, whatever the umask: other users, and the next one of ours if we are killed now, are to
// read whose it is. Only where nobody else runs in this process.
static int create(const char *path)
{
	mode_t mask = umask(0);
	int fd = openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | RECORD_OPEN_FLAGS, RECORD_MODE);
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
	text_add(&number, "/proc/thread-self/fd/");
	text_number(&number, (uint64_t)fd);
	if (fchmod(fd, RECORD_MODE) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    linkat(AT_FDCWD, unnamed, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return fd;
	error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

// Takes the flock of the file that has just been created, open as FD. Returns the descriptor that has it, or -1.
static int lock_description(const char *path, const struct claim_way *way, int fd)
{
	int operation = way->block ? LOCK_EX : LOCK_EX | LOCK_NB;
	int held = way->apart ? openat(AT_FDCWD, path, O_RDONLY | RECORD_OPEN_FLAGS) : -1;

	// It has been taken away already, and is to be made again.
	if (way->apart && held == -1 && errno == ENOENT) {
		errno = EEXIST;
		return -1;
	}
	if (held != -1 && flock(held, operation) == 0)
		return held;
	if (held != -1)
		close_keeping_errno(held);
	if (way->apart && !is_too_much(errno))
		return -1;
	return flock(fd, operation) == 0 ? fd : -1;
}

// Somebody else may open the new file before we have its flock, find it empty, and let go again; `lost` tells it from another one's.
static bool lock_created(const char *path, const struct claim_way *way, int fd, struct claim *claim)
{
	struct stat status;
	int error;

	claim->held = lock_description(path, way, fd);
	if (claim->held != -1) {
		claim->fd = fd;
		return true;
	}
	error = errno;
	if (fstat(fd, &status) == 0)
		claim->lost = status.st_ino;
	(void)close(fd);
	errno = error;
	return false;
}

static bool create_claim(const char *path, const struct claim_way *way, struct claim *claim)
{
	int fd = way->threads ? create_beside_threads(path) : create(path);

	*claim = (struct claim){ .held = -1, .fd = -1, .writable = true, .created = true };
	if (fd == -1 || !way->threads)
		return fd != -1 && lock_created(path, way, fd, claim);
	claim->fd = claim->held = fd;
	return true;
}

// Mostly there is no file, or it is about to be waited for.
bool claim_open_or_create(const char *path, const struct claim_way *way, struct claim *claim)
{
	bool create_first = !way->block && !way->threads, made = false;

	do {
		if (!create_first && (claim_open(path, way, claim) || errno != ENOENT))
			return claim->held != -1;
		create_first = false;
		if (create_claim(path, way, claim))
			return true;
		// A user's own directory is made anew when a cleaner has taken it away.
	} while (errno == EEXIST || (errno == ENOENT && !made && (made = lockdir_make(path))));
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
	claim->settles_in = record_settles_in(record, &claim->status);
	claim->vouched = record_is_credible(record, &claim->status);
	claim->nameless = record->pid == 1 && record->stamp == PROCESS_NO_STAMP;
}

// Under the record lock.
static enum claim_result judge_record(const char *path, const struct process_self *self, ino_t unclaimed, struct budget *budget,
				      struct claim *claim)
{
	const struct stat held = claim->status;
	struct record record;

	if (record_read(claim->fd, &record, &claim->status) == -1)
		return fail(claim, errno, NULL);
	if (claim->status.st_dev != held.st_dev || claim->status.st_ino != held.st_ino)
		return CLAIM_AGAIN;
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

	if (fstat(claim->held, &claim->status) == -1)
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
	if (result != CLAIM_TAKEN || claim->fd == claim->held)
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
