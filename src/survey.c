// SPDX-License-Identifier: MIT
#include "survey.h"

#include "keepers.h"
#include "process.h"
#include "procfile.h"
#include "record.h"
#include "tombstone.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum survey_state survey_judge(const struct survey_facts *facts)
{
	if (!facts->regular)
		return SURVEY_FOREIGN;
	if (facts->locked)
		return SURVEY_HELD;
	if (facts->recorded_alive)
		return SURVEY_HELD_BY_PID;
	if (facts->ending)
		return SURVEY_ENDING;
	if (facts->empty)
		return SURVEY_STARTING;
	return facts->recorded ? SURVEY_STALE : SURVEY_MALFORMED;
}

// The process that took the flock may have ended and left it to a child, which then maps the file or has it open. /proc/locks lists no flock
// that was taken in another PID namespace, unless this is the first one. A process that maps the file may keep the lock without the flock.
static void find_keeper(const char *path, const struct stat *status, struct survey_facts *facts)
{
	const struct mapped_file file = { .device = status->st_dev, .inode = status->st_ino, .path = path };

	facts->locked = keepers_is_locked(&file);
	if (facts->locked || !process_sees_all())
		facts->locker = keepers_find_locker(&file, status->st_uid, KEEPERS_ALL);
	if (facts->locker == 0)
		facts->locker = keepers_find_mapper(&file);
	facts->locked = facts->locked || facts->locker != 0;
}

static struct survey conclude(const struct survey_facts *facts, const struct stat *status)
{
	struct survey survey = { .state = survey_judge(facts), .pid = facts->recorded, .since = status->st_mtim };
	char path[PROCFILE_PATH];
	struct stat process;

	if (survey.state == SURVEY_HELD && !facts->recorded_alive)
		survey.pid = facts->locker;
	if (survey.state == SURVEY_ENDING)
		survey.pid = facts->ender;
	if (survey_is_held(survey.state) && survey.pid > 0 && stat(procfile_path(path, survey.pid, ""), &process) == 0) {
		survey.user = process.st_uid;
		survey.user_known = true;
	}
	return survey;
}

static struct survey unreadable(int error)
{
	return (struct survey){ .state = SURVEY_UNREADABLE, .error = error };
}

// The file has gone: with the one that deleted it, or before that.
static struct survey look_behind(const char *path)
{
	struct survey survey = { .state = SURVEY_FREE };
	struct tombstone_owner owner;

	// Without the directory there is nothing to hold.
	if (tombstone_await(path, 0, &owner) == -1 && errno != ENOENT)
		survey = (struct survey){ .state = SURVEY_ENDING, .pid = owner.pid, .user = owner.user, .user_known = owner.user_known };
	return survey;
}

struct survey survey_look(const char *path)
{
	struct survey_facts facts = { 0 };
	struct record record;
	struct stat status;
	struct tombstone_owner owner;

	if (lstat(path, &status) == -1)
		return errno == ENOENT ? look_behind(path) : unreadable(errno);
	facts.regular = S_ISREG(status.st_mode) && status.st_nlink == 1;
	if (!facts.regular)
		return conclude(&facts, &status);
	if (record_peek(path, &record, &status) == -1)
		return errno == ENOENT ? look_behind(path) : unreadable(errno);
	facts.empty = record.empty;
	facts.recorded = record.pid;
	facts.recorded_alive = record_is_alive(&record);
	find_keeper(path, &status, &facts);
	facts.ending = tombstone_await(path, 0, &owner) == -1;
	facts.ender = owner.pid;
	return conclude(&facts, &status);
}

bool survey_is_held(enum survey_state state)
{
	return state == SURVEY_HELD || state == SURVEY_HELD_BY_PID || state == SURVEY_ENDING;
}

const char *survey_word(enum survey_state state)
{
	static const char *const words[] = {
		[SURVEY_FREE] = "free",
		[SURVEY_STALE] = "stale",
		[SURVEY_MALFORMED] = "malformed",
		[SURVEY_STARTING] = "starting",
		[SURVEY_HELD] = "held",
		[SURVEY_HELD_BY_PID] = "held-by-pid",
		[SURVEY_ENDING] = "ending",
		[SURVEY_FOREIGN] = "foreign",
		[SURVEY_UNREADABLE] = "unreadable",
	};

	return words[state];
}
