// SPDX-License-Identifier: MIT
// What libexclusivelock tells of a lock without taking it.
#include "exclusivelock.h"

#include "exclusivelocklook.h"
#include "exclusivelockpath.h"
#include "holder.h"
#include "keepers.h"
#include "procfile.h"
#include "record.h"
#include "scratch.h"
#include "survey.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pid_t find_sharer(const char *path, const struct stat *status)
{
	return keepers_find_mapper(&(struct mapped_file){ .device = status->st_dev, .inode = status->st_ino, .path = path });
}

// If this process has nothing of the lock, or if what it has does not tell.
static pid_t look_at_others(const char *path)
{
	struct survey survey = survey_look(path);
	struct record record;
	struct stat status;

	if (survey.state == SURVEY_FOREIGN || survey.state == SURVEY_UNREADABLE) {
		errno = survey.state == SURVEY_FOREIGN ? EINVAL : survey.error;
		return -1;
	}
	// Taken by this process, which has released it since: a child of it has kept its share.
	if (survey.pid == getpid() && record_peek(path, &record, &status) == 0 && record.pid != survey.pid)
		survey.pid = find_sharer(path, &status);
	if (survey_is_held(survey.state) && survey.pid > 0)
		return survey.pid;
	// From within a PID namespace nothing in /proc tells of a holder outside.
	if (!survey_is_held(survey.state) && (survey.state == SURVEY_FREE || process_sees_all() || holder_flock_is_free(path)))
		return 0;
	errno = ESRCH;
	return -1;
}

pid_t exclusivelocklook_holder(const char *path)
{
	pid_t pid = exclusivelocklook_own(path);

	return pid > 0 ? pid : look_at_others(path);
}

// One line of /proc/locks counts if it is of a process that waits.
struct count {
	struct mapped_file file;
	int waiting;
};

static bool visit_lock(void *context, const char *line, size_t length)
{
	struct count *count = context;
	struct flock_line lock;

	if (keepers_parse_flock_line(line, length, &lock) && lock.waits && keepers_is_of(&lock, &count->file))
		count->waiting++;
	return false;
}

// Since when it is held, and how many wait.
static void find_file(const char *path, struct exclusivelock_status *info)
{
	struct count count = { .file.path = path };
	struct stat status;

	info->waiting = -1;
	if (lstat(path, &status) == -1)
		return;
	info->since = status.st_mtim.tv_sec;
	count.file.device = status.st_dev;
	count.file.inode = status.st_ino;
	if (procfile_lines("/proc/locks", visit_lock, &count) == 0)
		info->waiting = count.waiting;
}

// The arguments of PID with blanks between them. Any program may have any bytes in them, so what is not printable in ASCII is replaced.
static void find_command(pid_t pid, char command[EXCLUSIVELOCK_COMMAND_SIZE])
{
	char path[PROCFILE_PATH];
	ssize_t length = procfile_read(procfile_path(path, pid, "/cmdline"), command, EXCLUSIVELOCK_COMMAND_SIZE - 1);

	while (length > 0 && command[length - 1] == '\0')
		length--;
	for (ssize_t i = 0; i < length; i++) {
		if (command[i] == '\0')
			command[i] = ' ';
		else if (command[i] < ' ' || command[i] > '~')
			command[i] = '?';
	}
	command[length > 0 ? length : 0] = '\0';
}

static void find_holder(pid_t pid, struct exclusivelock_status *info)
{
	char path[PROCFILE_PATH];
	struct stat process;

	if (stat(procfile_path(path, pid, ""), &process) == 0)
		info->user = process.st_uid;
	find_command(pid, info->command);
}

// Returns 0, or -1 and errno.
static int fill(const char *path, struct exclusivelock_status *info)
{
	pid_t pid = exclusivelocklook_holder(path);

	if (pid == -1 && errno != ESRCH)
		return -1;
	info->pid = pid;
	info->user = (uid_t)-1;
	if (pid > 0)
		find_holder(pid, info);
	if (pid != 0)
		find_file(path, info);
	return 0;
}

// Finds the path of NAME's lock file in the directory of OPTIONS, and does FILL for it: 0, or -1 and errno. Not cancelled meanwhile.
static int with_path(const char *name, const struct exclusivelock_options *given,
		     int (*fill_in)(const char *path, struct exclusivelock_status *info), struct exclusivelock_status *info)
{
	bool is_own;
	struct exclusivelock_options options;
	int before = errno, ignored, cancel_state, result = -1;
	char *path;
	const char *why;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	path = scratch_get();
	if (path && exclusivelockpath_options(given, &options) && exclusivelockpath_find(name, options.directory, path, &why, &is_own))
		result = fill_in(path, info);
	scratch_free(path);
	(void)pthread_setcancelstate(cancel_state, &ignored);
	if (result == 0)
		errno = before;
	return result;
}

int exclusivelock_info(const char *name, const struct exclusivelock_options *options, struct exclusivelock_status *info)
{
	size_t size = info->size;

	if (size < sizeof(*info)) {
		errno = EINVAL;
		return -1;
	}
	memset(info, 0, size);
	info->size = size;
	return with_path(name, options, fill, info);
}

static int fill_pid(const char *path, struct exclusivelock_status *info)
{
	info->pid = exclusivelocklook_holder(path);
	return info->pid == -1 ? -1 : 0;
}

pid_t exclusivelock_holder(const char *name)
{
	struct exclusivelock_status info;

	return with_path(name, NULL, fill_pid, &info) == 0 ? info.pid : -1;
}
