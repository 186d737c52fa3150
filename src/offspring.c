// SPDX-License-Identifier: MIT
#include "offspring.h"

#include "pause.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_AGAIN_US 2000

struct relative {
	pid_t pid, parent;
	uint64_t start;
	bool ended;
};

struct family {
	struct relative *members;
	size_t count, room;
};

// Of this process, from before: a shell that calls exec leaves its children behind with us.
static struct family strangers;

static bool add(struct family *family, const struct relative *one)
{
	if (family->count == family->room) {
		size_t room = family->room ? family->room * 2 : 64;
		struct relative *larger = realloc(family->members, room * sizeof(*larger));

		if (!larger)
			return false;
		family->members = larger;
		family->room = room;
	}
	family->members[family->count++] = *one;
	return true;
}

static const struct relative *find(const struct family *family, pid_t pid)
{
	for (size_t i = 0; i < family->count; i++)
		if (family->members[i].pid == pid)
			return &family->members[i];
	return NULL;
}

static bool is_stranger(const struct relative *one)
{
	const struct relative *found = find(&strangers, one->pid);

	return found && found->start == one->start;
}

static void read_all(struct family *all)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	struct process_stat process;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && process_read_stat(pid, &process) == 0)
			(void)add(all, &(struct relative){ .pid = process.pid, .parent = process.parent, .start = process.start,
							   .ended = process_has_ended(&process) });
	}
	if (proc)
		(void)closedir(proc);
}

// Those of ALL that descend from this process. A parent is not always found before its child.
static struct family descendants_of(const struct family *all)
{
	struct family found = { .count = 0 };
	size_t before;

	do {
		before = found.count;
		for (size_t i = 0; i < all->count; i++) {
			const struct relative *one = &all->members[i];

			if ((one->parent == getpid() || find(&found, one->parent)) && !find(&found, one->pid) && !is_stranger(one))
				(void)add(&found, one);
		}
	} while (found.count > before);
	return found;
}

static struct family look(void)
{
	struct family all = { .count = 0 };
	struct family found;

	read_all(&all);
	found = descendants_of(&all);
	free(all.members);
	return found;
}

// Cheap: the kernel knows without looking at all processes.
static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

int offspring_adopt(void)
{
	strangers = has_children() ? look() : (struct family){ .count = 0 };
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
	family = look();
	has = find(&family, pid) != NULL;

	free(family.members);
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

int offspring_signal(int signal, int *denied)
{
	struct family family;
	int count = 0;

	*denied = 0;
	if (!has_children())
		return 0;
	family = look();
	for (size_t i = 0; i < family.count; i++) {
		if (family.members[i].ended)
			continue;
		count++;
		if (signal_one(&family.members[i], signal) == -1)
			(*denied)++;
	}
	free(family.members);
	return count;
}

int offspring_kill(void (*ended)(pid_t pid, int status, void *context), void *context)
{
	for (;;) {
		int denied, status;
		int count = offspring_signal(SIGKILL, &denied);

		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
			ended(pid, status, context);
		if (count == denied)
			return denied;
		pause_us(LOOK_AGAIN_US);
	}
}
