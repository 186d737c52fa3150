// SPDX-License-Identifier: MIT
#include "offspring.h"

#include "family.h"
#include "pause.h"
#include "process.h"
#include "procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_AGAIN_US 2000
// Doubled so often while nothing changes: the kernel may not let one go that waits for a disk or a server.
#define DOUBLINGS 7
// So many quick looks come before each at all processes,
#define QUICK_LOOKS 100
// so many of both before those that are known are killed although there are new ones all the time,
#define LOOKS_STOPPING 100
// and so many that find nothing tell that there is nothing: one that forks and exits between them shows by what there is to reap.
#define LOOKS_QUIET 2

// Of this process, from before: a shell that calls exec leaves its children behind with us.
static struct family strangers;

// Cheap: the kernel knows without looking at all processes.
static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

int offspring_adopt(void)
{
	const struct family none = { .count = 0 };

	strangers = has_children() ? family_look(&none) : none;
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

bool offspring_is_none(void)
{
	return !has_children();
}

bool offspring_has(pid_t pid)
{
	struct family family;
	bool has;

	if (!has_children())
		return false;
	family = family_look(&strangers);
	has = family_find(&family, pid) != NULL;

	family_free(&family);
	return has;
}

// By a descriptor, so that a process that has this PID after it is not meant.
static int signal_one(const struct relative *one, int signal)
{
	struct process_stat process;
	int fd = pidfd_open(one->pid, 0);
	int result = -1;

	if (fd == -1)
		return errno == ESRCH ? 0 : kill(one->pid, signal);
	if (process_read_stat(one->pid, &process) == 0 && process.start == one->start)
		result = pidfd_send_signal(fd, signal, NULL, 0);
	else
		errno = ESRCH;
	if (result == -1 && errno != EPERM)
		result = 0;
	(void)close(fd);
	return result;
}

// Signals those of FAMILY that have not ended and are not KNOWN. Returns to how many it was sent; DENIED others may not be signalled.
static int signal_all(const struct family *family, const struct family *known, int signal, int *denied)
{
	int sent = 0;

	*denied = 0;
	for (size_t i = 0; i < family->count; i++) {
		const struct relative *one = &family->members[i];

		if (one->ended || family_has(known, one))
			continue;
		if (signal_one(one, signal) == -1)
			(*denied)++;
		else
			sent++;
	}
	return sent;
}

void offspring_signal(int signal)
{
	const struct family none = { .count = 0 };
	struct family family;
	int denied;

	if (!has_children())
		return;
	family = family_look(&strangers);
	(void)signal_all(&family, &none, signal, &denied);
	family_free(&family);
}

// -1: the kernel does not list them, or in another PID namespace's numbers.
static int open_children(void)
{
	char path[PROCFILE_PATH];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
	return open(path, O_RDONLY | O_CLOEXEC);
}

// Stops those whose parents have ended: they are our children. One that forks and exits all the time is another process by the time that all
// of /proc is read, and even that its stat is; but until we reap it a child's PID is nobody else's.
static void stop_children(int children)
{
	char text[4096];
	ssize_t length;
	pid_t pid = 0;

	(void)lseek(children, 0, SEEK_SET);
	while ((length = read(children, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < length; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid > 0 && !family_find(&strangers, pid))
				(void)kill(pid, SIGSTOP);
			pid = 0;
		}
}

static bool reap(void (*ended)(pid_t pid, int status, void *context), void *context)
{
	bool reaped = false;
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; reaped = true)
		ended(pid, status, context);
	return reaped;
}

int offspring_kill(void (*ended)(pid_t pid, int status, void *context), void *context)
{
	const struct family none = { .count = 0 };
	struct family known = none;
	int children = open_children(), denied = 0, quiet = 0, idle = 0;

	// None is killed before all are stopped: what a dead one leaves of its user's processes another that forks would take.
	for (int looks = 1; quiet < LOOKS_QUIET && has_children(); looks++) {
		bool busy = true, left = false;
		struct family family;

		for (int i = 0; busy && i < QUICK_LOOKS; i++) {
			stop_children(children);
			busy = reap(ended, context);
		}
		family = family_look(&strangers);
		busy |= signal_all(&family, &known, SIGSTOP, &denied) > 0;
		if (!busy || looks % LOOKS_STOPPING == 0)
			left = signal_all(&family, &none, SIGKILL, &denied) > 0;
		busy |= reap(ended, context);
		quiet = busy || left || family.partial ? 0 : quiet + 1;
		family_free(&known);
		known = family;
		if (!busy)
			pause_us((uint32_t)LOOK_AGAIN_US << idle);
		idle = busy ? 0 : idle < DOUBLINGS ? idle + 1 : DOUBLINGS;
	}
	family_free(&known);
	(void)close(children);
	return has_children() ? denied : 0;
}
