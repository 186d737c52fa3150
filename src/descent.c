// SPDX-License-Identifier: MIT
#include "descent.h"

#include "holder.h"
#include "keepers.h"
#include "pause.h"
#include "record.h"

#include <sys/stat.h>

#define LOOKS 3
#define LOOK_AGAIN_US 1000

static bool is_process(pid_t pid, const void *other)
{
	return pid == *(const pid_t *)other;
}

bool descent_from(pid_t holder)
{
	return holder > 0 && process_find_ancestor(is_process, &holder) != 0;
}

static bool is_vouched(const struct record *record, const struct stat *status)
{
	return record_is_alive(record) && record_is_credible(record, status);
}

bool descent_by_record(const char *path)
{
	struct record record;
	struct stat status;

	return record_peek(path, &record, &status) == 0 && is_vouched(&record, &status) && descent_from(record.pid);
}

static bool instance_lives(const struct mark *mark)
{
	return process_is_instance(mark->pid, mark->start);
}

static bool names(const struct record *record, const struct mark *mark)
{
	return record->pid == mark->pid && record_has_stamp(record, process_stamp(mark->start));
}

static pid_t find_taker(const char *path, const struct mark *mark)
{
	const struct mapped_file file = { .device = mark->lock.device, .inode = mark->lock.inode, .path = path };

	return keepers_find_taker(&file);
}

// The instance is not to be seen, in a PID namespace of our own or without a /proc. The record is as it left it: if the flock
// is taken, then by it, or by processes forked from it. Contenders, which have it for an instant, write records; flock(1)
// does not, but it is told as the one who took it.
static bool keeps_flock(const struct mark *mark, const char *path)
{
	for (int look = 0; look < LOOKS; look++) {
		struct record record;
		struct stat status;
		pid_t taker;

		if (holder_flock_is_free(path) || record_peek(path, &record, &status) == -1 || !names(&record, mark))
			return false;
		taker = find_taker(path, mark);
		if (taker != 0 && taker != mark->pid)
			return false;
		pause_us(LOOK_AGAIN_US);
	}
	return true;
}

struct keeper_search {
	const struct mapped_file *file;
	uint64_t start;		// of the instance: what it forked did not begin before it
};

static bool may_keep(pid_t pid, const void *context)
{
	const struct keeper_search *search = context;
	return process_began_since(pid, search->start) &&
	       (keepers_keeps(pid, search->file) || keepers_look(pid, search->file) == MAPPINGS_UNSEEN);
}

// The instance has ended beyond doubt, and something that it forked keeps the flock, which no record names. A replayed environment has
// that mark, too. So has what somebody else starts whom the instance left behind; a mark without a session tells that.
static bool descends_from_keeper(const struct mark *mark, const char *path)
{
	const struct mapped_file file = { .device = mark->lock.device, .inode = mark->lock.inode, .path = path };
	const struct keeper_search search = { &file, mark->start };

	return process_find_ancestor(may_keep, &search) != 0 || (mark->session != 0 && process_lost_parent_since(mark->start));
}

static bool has_ended_in_sight(const struct mark *mark)
{
	return process_sees_all() && !process_alive(mark->pid, process_stamp(mark->start));
}

// Who keeps the flock is not in the record, but the instance of MARK is.
static bool descends_unrecorded(const struct mark *mark, const char *path)
{
	return keeps_flock(mark, path) && (!has_ended_in_sight(mark) || descends_from_keeper(mark, path));
}

// Forked in the last moment of an instance that is gone now: a background command, which does not keep the lock, so it must
// not take it, nor be refused. An environment that is replayed (by at, tmux, systemd) comes with a parent, or in another
// session; what a survivor starts that the shim has passed has no session in its mark.
static bool is_late_child(const struct mark *mark)
{
	return mark->session != 0 && process_self().session == mark->session && process_is_orphan() && !instance_lives(mark);
}

// The mark and the record name the same living process. A replayed environment has such a mark, too, but no such ancestor.
static bool descends_from_instance(const struct mark *mark)
{
	return descent_from(mark->pid) || process_may_descend(mark->pid);
}

static bool is_child_of_instance(const struct mark *mark)
{
	return descent_from(mark->pid);
}

// Whether the instance lives, and this process DESCENDS from it. The instance may end between the two looks: the parents of this process
// no longer lead to it then. So whoever gets false has to ask again whether it lives.
static bool lives_above(const struct mark *mark, bool (*descends)(const struct mark *mark))
{
	return instance_lives(mark) && descends(mark);
}

// The record names another process than the mark. The process that took the lock left it to one that it forked, a daemon: the flock
// is still the one that the mark's process took. Or another instance has the lock by now. A mark without a session is what somebody has
// started who passed by, and may have outlived the instance beside the heir.
static bool descends_from_heir(const struct mark *mark, const char *path, pid_t heir)
{
	return descent_from(heir) || (mark->session != 0 && find_taker(path, mark) == mark->pid && process_may_descend(heir));
}

bool descent_by_mark(const struct mark *mark, const char *path)
{
	struct record record = { .pid = 0 };
	struct stat status;
	bool is_there = record_peek(path, &record, &status) == 0;
	bool is_marked = is_there && mark_is_of(mark, &status);

	if (is_marked && names(&record, mark))
		return lives_above(mark, descends_from_instance) ||
		       (!instance_lives(mark) && (descends_unrecorded(mark, path) || is_late_child(mark)));
	if (is_marked && is_vouched(&record, &status) && descends_from_heir(mark, path, record.pid))
		return true;
	// While it has not quite ended, it is an ancestor itself. Or the file is out of sight: deleted by somebody, or another file
	// system is mounted over its directory.
	return lives_above(mark, is_child_of_instance) || (!(is_there && record_is_alive(&record)) && is_late_child(mark));
}

bool descent_own(const char *path, const struct process_self *self)
{
	struct record record;
	struct stat status;

	return record_peek(path, &record, &status) == -1 || record_is_of(&record, self);
}
