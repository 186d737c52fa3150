// SPDX-License-Identifier: MIT
#include "replace.h"

#include "pause.h"
#include "rawcall.h"
#include "record.h"
#include "survey.h"
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Opens the process that RECORD names. Its start time is compared only then, so that it is of the process that is open, not of
// one that had its PID before.
static int open_recorded(const struct record *record)
{
	int fd = pidfd_open(record->pid, 0);
	struct process_stat process;

	if (fd == -1 || (process_read_stat(record->pid, &process) == 0 && process_stamp(process_start(&process)) == record->stamp))
		return fd;
	(void)close(fd);
	errno = ESRCH;
	return -1;
}

static _Noreturn void kill_late(pid_t parent, pid_t holder, int holder_fd, uint64_t deadline)
{
	// A launcher that is ended while it waits asks for nothing more.
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_SUCCESS);
	if (watch_process(holder, deadline) == 0)
		_exit(EXIT_SUCCESS);
	_exit(pidfd_send_signal(holder_fd, SIGKILL, NULL, 0) == 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int ask(int fd, uint64_t grace_ns, struct replacement *replacement)
{
	pid_t parent = getpid();

	if (pidfd_send_signal(fd, SIGTERM, NULL, 0) == -1 && errno != ESRCH)
		return -1;
	// Stopped, it would not hear of it.
	(void)pidfd_send_signal(fd, SIGCONT, NULL, 0);
	// Its end sends no signal: with SIGCHLD ignored, as the command may want it, the kernel would not tell how it ended.
	replacement->killer = (pid_t)rawcall(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (replacement->killer == 0)
		kill_late(parent, replacement->holder, fd, pause_clock() + grace_ns);
	return replacement->killer < 0 ? -1 : 0;
}

int replace_ask(const char *path, uint64_t grace_ns, struct replacement *replacement, const char **why)
{
	struct survey survey = survey_look(path);
	struct record record;
	struct stat status;
	int fd, result;

	*replacement = (struct replacement){ .holder = 0 };
	if (!survey_is_held(survey.state))
		return 0;
	replacement->holder = survey.pid;
	*why = "the lock file does not say without doubt who that is";
	if (record_peek(path, &record, &status) == -1 || record.pid != survey.pid || record.stamp == PROCESS_NO_STAMP)
		return -1;
	fd = open_recorded(&record);
	// Gone by itself.
	if (fd == -1 && errno == ESRCH) {
		replacement->holder = 0;
		return 0;
	}
	*why = "it may not be asked to end";
	result = fd == -1 ? -1 : ask(fd, grace_ns, replacement);
	if (fd != -1)
		(void)close(fd);
	return result;
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
