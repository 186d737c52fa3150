// SPDX-License-Identifier: MIT
#include "survivors.h"

#include "config.h"
#include "keepers.h"
#include "mark.h"
#include "process.h"
#include "procfile.h"

#include <string.h>
#include <unistd.h>

#define VARIABLE CONFIG_PREFIX "INSTANCE="

struct search {
	const struct job *job;
	dev_t device;
	ino_t inode;
	pid_t *found;
	size_t count;
	pid_t pid;
	bool marked;
};

static bool is_of(const struct search *search, const struct mark_descriptor *lock)
{
	return lock->device == search->device && lock->inode == search->inode;
}

static bool has_outer(const struct search *search, const struct mark *mark)
{
	for (int i = 0; i < mark->outers; i++)
		if (is_of(search, &mark->outer[i]))
			return true;
	return false;
}

static bool visit_variable(void *context, const char *string, size_t length)
{
	struct search *search = context;
	char text[MARK_MAX];
	struct mark mark;
	const size_t before = sizeof(VARIABLE) - 1;

	if (length < before || memcmp(string, VARIABLE, before) != 0)
		return false;
	if (length - before < sizeof(text)) {
		memcpy(text, string + before, length - before);
		text[length - before] = '\0';
		search->marked = mark_parse(text, &mark) && (is_of(search, &mark.lock) || has_outer(search, &mark));
	}
	return true;
}

static bool is_process(pid_t pid, const void *other)
{
	return pid == *(const pid_t *)other;
}

static bool visit_process(void *context, pid_t pid)
{
	struct search *search = context;
	struct process_stat status;
	char path[PROCFILE_PATH];

	search->marked = false;
	if (pid == getpid() || job_has(search->job, pid) || !keepers_is_credible(pid, geteuid()) || process_find_ancestor(is_process, &pid) != 0)
		return false;
	(void)procfile_strings(procfile_path(path, pid, "/environ"), visit_variable, search);
	if (!search->marked || process_read_stat(pid, &status) == -1 || process_has_ended(&status))
		return false;
	if (search->count < SURVIVORS_MAX)
		search->found[search->count] = pid;
	search->count++;
	return false;
}

size_t survivors_find(const struct job *job, dev_t device, ino_t inode, pid_t found[SURVIVORS_MAX])	// NOLINT(readability-non-const-parameter): visit_process() writes there
{
	struct search search = { .job = job, .device = device, .inode = inode, .found = found };

	(void)procfile_search("/proc", 0, visit_process, &search);
	return search.count;
}
