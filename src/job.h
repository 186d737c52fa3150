// SPDX-License-Identifier: MIT
// The processes of a job that --replace ends: the holder, the other processes that keep the lock, and their descendants by parent. A process is
// known by PID and start time, and is signalled by a pidfd: never another process that has its PID later.
#ifndef EXLOCK_JOB_H
#define EXLOCK_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_MAX 4000

struct job_member {
	pid_t pid;
	uint64_t start;		// as /proc/PID/stat has it
	bool weak;		// one that only its own user has made a member, or a descendant of such a one
};

// Shared by two processes, of which one at a time changes it.
struct job {
	size_t count;
	bool full;		// there were more members than JOB_MAX
	bool asked;		// SIGTERM was sent
	bool killed;		// SIGKILL was sent
	struct job_member members[JOB_MAX];
};

// Whether a member is not to be ended.
typedef bool job_hindered(const struct job_member *member, const void *context);

// An empty job in memory that is there already and that a forked child shares. NULL: there is no memory.
struct job *job_make(void);

// Adds PID, unless it is a member, or has ended. A member that is added again without WEAK no longer is.
void job_add(struct job *job, pid_t pid, bool weak);

bool job_has(const struct job *job, pid_t pid);

// Adds the descendants of the members that live.
void job_grow(struct job *job);

// The first member that has not ended; 0: all have.
pid_t job_find_living(const struct job *job);

// The first living member that this process may not signal, or that HINDERED says so of; 0: there is none.
pid_t job_find_hindered(const struct job *job, job_hindered *hindered, const void *context);

// The first member that does nothing until DEADLINE, not even take a signal: frozen by a cgroup, or waiting in the kernel for a disk or a server. 0: none.
pid_t job_find_stuck(const struct job *job, uint64_t deadline);

// Sends SIGTERM to all, each parent before its children, and to what a parent has forked meanwhile; and SIGCONT, since a stopped process does
// not get the signal before it goes on.
void job_ask(struct job *job);

// Sends SIGKILL to all members that live and that HINDERED, as above, does not say of.
void job_kill(struct job *job, job_hindered *hindered, const void *context);

#endif
