// SPDX-License-Identifier: MIT
#include "replace.h"

#include "keepers.h"
#include "pause.h"
#include "procfile.h"
#include "rawcall.h"
#include "record.h"
#include "survey.h"
#include "text.h"
#include "user.h"
#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOKS_FOR_STRANGER 5
#define LOOK_AGAIN_US 1000
// How long the launcher may take to get in line before the holder is asked to end all the same: where /proc/locks does not tell.
#define IN_LINE_NS UINT64_C(250000000)
// It is in line for an instant, too, when it first tries the lock.
#define LOOKS_IN_LINE 3

// Whom to end: the open process, and the record that says so.
struct target {
	int fd;
	struct record record;
	struct stat status;
};

// Whether somebody other than root, this user and OWNER, whose file is at PATH, may put another file into its place: root's own file of
// another lock, say.
static bool may_be_moved(const char *path, uid_t owner)
{
	char directory[PATH_MAX];
	struct text text = text_in(directory, sizeof(directory));
	struct stat status;

	text_bytes(&text, path, (size_t)(text_basename(path) - path));
	if (stat(directory, &status) == -1)
		return true;
	return (status.st_uid != 0 && !user_is_same(status.st_uid, geteuid()) && !user_is_same(status.st_uid, owner)) ||
	       ((status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX));
}

// Why RECORD, in the file of STATUS at PATH, does not decide whom this process signals; NULL: it does.
static const char *find_doubt(const char *path, const struct record *record, const struct stat *status)
{
	if (!S_ISREG(status->st_mode) || status->st_nlink != 1)
		return "the lock file is not a regular file with one link";
	if (record->stamp == PROCESS_NO_STAMP)
		return "the lock file does not say without doubt who that is";
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return "other users may write to the lock file";
	if (!record_is_credible(record, status))
		return "another user wrote that into the lock file (only root, you, and that process' own user are believed)";
	if (may_be_moved(path, status->st_uid))
		return "other users may exchange files in the lock directory";
	return NULL;
}

// The process that has the flock if it is of a user who may not decide, and not the recorded one: it would keep this process waiting
// when the holder has ended. A contender has the flock for an instant only. 0: there is none.
static pid_t find_stranger(const char *path, const struct record *record, const struct stat *status)
{
	const struct mapped_file file = { .device = status->st_dev, .inode = status->st_ino, .path = path };
	char text[PROCFILE_PATH];
	struct stat holder, process;
	pid_t stranger = 0;

	if (stat(procfile_path(text, record->pid, ""), &holder) == -1)
		return 0;
	for (int look = 0; look < LOOKS_FOR_STRANGER; look++) {
		stranger = keepers_find_locker(&file, status->st_uid, KEEPERS_ALL);
		if (stranger == 0 || stranger == record->pid || stat(procfile_path(text, stranger, ""), &process) == -1 ||
		    process.st_uid == 0 || user_is_same(process.st_uid, geteuid()) || user_is_same(process.st_uid, status->st_uid) ||
		    user_is_same(process.st_uid, holder.st_uid))
			return 0;
		pause_us(LOOK_AGAIN_US);
	}
	return stranger;
}

// Whether RECORD is of the process that had its PID just now. Asked once that process is open, so that it is not one that gets the PID
// later.
static bool names_present_owner(const struct record *record)
{
	struct process_stat process;

	return process_read_stat(record->pid, &process) == 0 && record_has_stamp(record, process_stamp(process_start(&process)));
}

// Waits until LAUNCHER has the flock of TARGET's file, or waits for it. If the holder ended before that, a start that comes later could get
// in between.
static void await_in_line(pid_t launcher, const char *path, const struct target *target)
{
	const struct mapped_file file = { .device = target->status.st_dev, .inode = target->status.st_ino, .path = path };
	uint64_t deadline = pause_clock() + IN_LINE_NS;
	int seen = 0;

	while (seen < LOOKS_IN_LINE && pause_clock() < deadline) {
		seen = keepers_is_in_line(&file, launcher) ? seen + 1 : 0;
		pause_us(LOOK_AGAIN_US);
	}
}

// Asks the holder to end, and kills it after GRACE_NS. Its exit status is EXIT_FAILURE if it had to.
static _Noreturn void end_holder(pid_t launcher, const char *path, const struct target *target, uint64_t grace_ns)
{
	// A launcher that is ended while it waits asks for nothing more.
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != launcher)
		_exit(EXIT_SUCCESS);
	await_in_line(launcher, path, target);
	(void)pidfd_send_signal(target->fd, SIGTERM, NULL, 0);
	// A stopped process does not get the signal before it goes on.
	(void)pidfd_send_signal(target->fd, SIGCONT, NULL, 0);
	if (watch_process(target->record.pid, pause_clock() + grace_ns) == 0)
		_exit(EXIT_SUCCESS);
	// It may have become another user's process: a set-user-ID program that the one who wrote the record may start, but not kill.
	if (!record_is_credible(&target->record, &target->status))
		_exit(EXIT_SUCCESS);
	_exit(pidfd_send_signal(target->fd, SIGKILL, NULL, 0) == 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

// Starts the child that does it.
static const char *ask(const char *path, const struct target *target, uint64_t grace_ns, struct replacement *replacement)
{
	pid_t launcher = getpid();

	if (pidfd_send_signal(target->fd, 0, NULL, 0) == -1 && errno != ESRCH)
		return "it may not be asked to end";
	// Its end sends no signal: with SIGCHLD ignored, as the command may want it, the kernel would not tell how it ended.
	replacement->killer = (pid_t)rawcall(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (replacement->killer == 0)
		end_holder(launcher, path, target, grace_ns);
	return replacement->killer < 0 ? "there is no process to be had that would end it after SECONDS" : NULL;
}

// TARGET's process is open: whoever has its PID later is not signalled. Only now the file is read; what was in it before may have been
// another one's.
static const char *ask_recorded(const char *path, struct target *target, uint64_t grace_ns, struct replacement *replacement)
{
	const char *doubt;
	pid_t stranger;

	if (record_peek(path, &target->record, &target->status) == -1 || target->record.pid != replacement->holder)
		return "the lock file does not say without doubt who that is";
	doubt = find_doubt(path, &target->record, &target->status);
	if (doubt)
		return doubt;
	if (!names_present_owner(&target->record)) {
		replacement->holder = 0;
		return NULL;
	}
	stranger = find_stranger(path, &target->record, &target->status);
	if (stranger != 0) {
		replacement->holder = stranger;
		return "that is another user's process, which the lock file does not name";
	}
	return ask(path, target, grace_ns, replacement);
}

int replace_ask(const char *path, uint64_t grace_ns, struct replacement *replacement, const char **why)
{
	struct survey survey = survey_look(path);
	struct target target;

	*replacement = (struct replacement){ .holder = survey.pid };
	// Nobody, or one that has given the lock back and is not quite gone: the start waits for that by itself.
	if (!survey_is_held(survey.state) || survey.state == SURVEY_ENDING) {
		replacement->waits = survey.state == SURVEY_ENDING;
		return 0;
	}
	*why = "the lock file does not say without doubt who that is";
	if (survey.pid <= 0)
		return -1;
	target.fd = pidfd_open(survey.pid, 0);
	// Gone by itself.
	if (target.fd == -1 && errno == ESRCH) {
		replacement->holder = 0;
		return 0;
	}
	*why = target.fd == -1 ? "it may not be asked to end" : ask_recorded(path, &target, grace_ns, replacement);
	if (target.fd != -1)
		(void)close(target.fd);
	return *why ? -1 : 0;
}

bool replace_finish(struct replacement *replacement)
{
	int status = 0;

	if (replacement->killer <= 0)
		return false;
	// SIGTERM may be ignored.
	(void)kill(replacement->killer, SIGKILL);
	while (waitpid(replacement->killer, &status, __WALL) == -1 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE;
}
