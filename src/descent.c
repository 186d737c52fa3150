// SPDX-License-Identifier: MIT
#include "descent.h"

#include "holder.h"
#include "keepers.h"
#include "pause.h"
#include "record.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LOOKS 3
#define LOOK_AGAIN_US 1000

static bool is_process(pid_t pid, const void *other)
{
	return pid == *(const pid_t *)other;
}

struct ancestor_search {
	pid_t holder;
	const struct mapped_file *file;
};

static bool holds(pid_t pid, const void *context)
{
	const struct ancestor_search *search = context;

	return pid == search->holder || keepers_maps(pid, search->file);
}

static bool has_ancestor(pid_t pid)
{
	return process_find_ancestor(is_process, &pid) != 0;
}

static bool instance_lives(const struct mark *mark)
{
	return process_is_instance(mark->pid, mark->start);
}

static bool names(const struct record *record, pid_t pid, uint64_t start)
{
	return record->pid == pid && record->stamp != PROCESS_NO_STAMP && record->stamp == process_stamp(start);
}

// The instance is not to be seen, in a PID namespace of our own or without a /proc. The record is as it left it: if the flock
// is taken, then by it, or by processes forked from it. Contenders, which have it for an instant, write records; flock(1)
// does not, but it is told as the one who took it.
static bool keeps_flock(const struct mark *mark, const char *path)
{
	for (int look = 0; look < LOOKS; look++) {
		struct mapped_file file = { .path = path };
		struct record record;
		struct stat status;
		pid_t taker;

		if (holder_flock_is_free(path) || record_peek(path, &record, &status) == -1 ||
		    !names(&record, mark->pid, mark->start))
			return false;
		file.device = status.st_dev;
		file.inode = status.st_ino;
		taker = keepers_find_taker(&file);
		if (taker != 0 && taker != mark->pid)
			return false;
		pause_us(LOOK_AGAIN_US);
	}
	return true;
}

// Forked in the last moment of an instance that is gone now: a background command, which does not keep the lock, so it must
// not take it, nor be refused. An environment that is replayed (by at, tmux, systemd) comes with a parent, or in another
// session.
static bool is_late_child(const struct mark *mark)
{
	return process_self().session == mark->session && process_is_orphan() && !instance_lives(mark);
}

bool descent_by_mark(const struct mark *mark, const char *path)
{
	struct record record;
	struct stat status;
	pid_t holder;

	// The file may be out of sight: deleted by somebody, or another file system mounted over its directory.
	if (record_peek(path, &record, &status) == -1 || status.st_ino != mark->inode)
		return (instance_lives(mark) && has_ancestor(mark->pid)) || is_late_child(mark);
	if (names(&record, mark->pid, mark->start))
		return instance_lives(mark) || keeps_flock(mark, path) || is_late_child(mark);
	// The process that took the lock left it to one that it forked, a daemon. Where that did not get into the record,
	// or took a mark no further, it is found among the ancestors.
	holder = record_is_alive(&record) && record_is_credible(&record, &status) ? record.pid : 0;
	// While it has not quite ended, it is an ancestor itself, and may let go of its mapping any moment.
	return descent_by_ancestry(holder, path, false) || (instance_lives(mark) && has_ancestor(mark->pid)) || is_late_child(mark);
}

bool descent_own(const char *path, const struct process_self *self)
{
	struct record record;
	struct stat status;

	return record_peek(path, &record, &status) == -1 || record_is_of(&record, self);
}

bool descent_by_ancestry(pid_t holder, const char *path, bool any)
{
	struct mapped_file file = { .path = path, .any = any };
	const struct ancestor_search search = { holder, &file };
	struct stat status;

	if (fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		file.device = status.st_dev;
		file.inode = status.st_ino;
	}
	return process_find_ancestor(holds, &search) != 0;
}
