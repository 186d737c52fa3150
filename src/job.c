// SPDX-License-Identifier: MIT
#include "job.h"

#include "children.h"
#include "pause.h"
#include "process.h"
#include "procfile.h"
#include "text.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define LOOK_AGAIN_US 2000
#define SWITCHES "voluntary_ctxt_switches:\t"

struct job *job_make(void)
{
	void *memory = mmap(NULL, sizeof(struct job), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

bool job_has(const struct job *job, pid_t pid)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->members[i].pid == pid)
			return true;
	return false;
}

static bool lives(const struct job_member *member, struct process_stat *status)
{
	return process_read_stat(member->pid, status) == 0 && status->start == member->start && !process_has_ended(status);
}

void job_add(struct job *job, pid_t pid, bool weak)
{
	struct process_stat status;
	size_t i = 0;

	if (process_read_stat(pid, &status) == -1 || process_has_ended(&status))
		return;
	while (i < job->count && job->members[i].pid != pid)
		i++;
	if (i == JOB_MAX) {
		job->full = true;
		return;
	}
	// The member of that PID has ended if the start time is another one.
	if (i < job->count && job->members[i].start == status.start)
		weak = weak && job->members[i].weak;
	job->members[i] = (struct job_member){ pid, status.start, weak };
	if (i == job->count)
		job->count++;
}

struct children {
	struct job *job;
	pid_t parent;
	bool weak;
};

static bool add_child(void *context, pid_t pid)
{
	const struct children *children = context;
	struct process_stat status;

	if (process_read_stat(pid, &status) == 0 && status.parent == children->parent)
		job_add(children->job, pid, children->weak);
	return false;
}

// Children are the member's if it lives before and after they are listed. A kernel may not list them; then all processes are looked at.
static void add_children(struct job *job, struct job_member parent)
{
	struct children children = { .job = job, .parent = parent.pid, .weak = parent.weak };
	struct process_stat status;
	size_t count = job->count;

	if (!lives(&parent, &status))
		return;
	if (!children_visit(parent.pid, add_child, &children))
		(void)procfile_search("/proc", 0, add_child, &children);
	if (process_read_stat(parent.pid, &status) == 0 && status.start != parent.start)
		job->count = count;
}

void job_grow(struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		add_children(job, job->members[i]);
}

pid_t job_find_living(const struct job *job)
{
	struct process_stat status;

	for (size_t i = 0; i < job->count; i++)
		if (lives(&job->members[i], &status))
			return job->members[i].pid;
	return 0;
}

// Returns 0, or -1 and errno, ESRCH: it has ended.
static int send(const struct job_member *member, int signal)
{
	struct process_stat status;
	int fd = pidfd_open(member->pid, 0), result = -1, error = ESRCH;

	if (fd == -1)
		return -1;
	if (lives(member, &status)) {
		result = pidfd_send_signal(fd, signal, NULL, 0);
		error = errno;
	}
	(void)close(fd);
	errno = error;
	return result;
}

pid_t job_find_hindered(const struct job *job, job_hindered *hindered, const void *context)
{
	for (size_t i = 0; i < job->count; i++) {
		int result = send(&job->members[i], 0);

		if (result == -1 && errno == ESRCH)
			continue;
		if (result == -1 || hindered(&job->members[i], context))
			return job->members[i].pid;
	}
	return 0;
}

struct switches {
	uint64_t number;
};

static bool visit_status_line(void *context, const char *line, size_t length)
{
	struct switches *switches = context;
	const char *at = line + sizeof(SWITCHES) - 1;

	return length >= sizeof(SWITCHES) && memcmp(line, SWITCHES, sizeof(SWITCHES) - 1) == 0 &&
	       text_parse_number(&at, line + length, &switches->number);
}

// How often the process has slept. One that takes a signal, or gets what it waits for, runs and sleeps again.
static uint64_t count_sleeps(pid_t pid)
{
	char path[PROCFILE_PATH];
	struct switches switches = { 0 };

	(void)procfile_lines(procfile_path(path, pid, "/status"), visit_status_line, &switches);
	return switches.number;
}

static bool is_stuck(const struct job_member *member, uint64_t deadline)
{
	struct process_stat status;
	uint64_t sleeps;

	if (!lives(member, &status) || status.state != 'D')
		return false;
	sleeps = count_sleeps(member->pid);
	do {
		pause_us(LOOK_AGAIN_US);
		if (!lives(member, &status) || status.state != 'D' || count_sleeps(member->pid) != sleeps)
			return false;
	} while (pause_clock() < deadline);
	return true;
}

pid_t job_find_stuck(const struct job *job, uint64_t deadline)
{
	for (size_t i = 0; i < job->count; i++)
		if (is_stuck(&job->members[i], deadline))
			return job->members[i].pid;
	return 0;
}

void job_ask(struct job *job)
{
	job->asked = true;
	for (size_t i = 0; i < job->count; i++) {
		add_children(job, job->members[i]);
		(void)send(&job->members[i], SIGTERM);
		(void)send(&job->members[i], SIGCONT);
		add_children(job, job->members[i]);
	}
}

void job_kill(struct job *job, job_hindered *hindered, const void *context)
{
	for (size_t i = 0; i < job->count; i++) {
		add_children(job, job->members[i]);
		if (!hindered(&job->members[i], context) && send(&job->members[i], SIGKILL) == 0)
			job->killed = true;
	}
}
