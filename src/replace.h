// SPDX-License-Identifier: MIT
// exlock-launch --replace: asks the job that holds a lock to end, so that the start that waits behind it takes its place.
#ifndef EXLOCK_REPLACE_H
#define EXLOCK_REPLACE_H

#include "job.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct replace_request {
	const char *path;	// the lock file's
	uint64_t grace_ns;	// from SIGTERM to SIGKILL
	uint64_t min_age_ns;	// of the holder
};

struct replacement {
	pid_t holder;		// the process that holds, or does not let any other in; 0: not known, or none
	bool recorded;		// the lock file names HOLDER
	bool waits;		// HOLDER has given the lock back, and is only to be waited for
	pid_t killer;		// our child, which asks the job to end and kills it when its time is over; 0: nobody is asked
	struct job *job;	// what it asks to end, and what came of it; NULL: nobody is asked
};

// Has a child ask the job that holds the lock to end, by SIGTERM, as soon as this process is in line for the lock, and kill by SIGKILL what has not
// ended GRACE_NS later. The job is: the process that the lock file names by PID and start time, and each that keeps the flock or maps the file; and
// their descendants by parent. A lock file is believed if root, this user or that process' own user owns it, and nobody else may write to it or
// exchange it. A process that it does not name is ended only if it is root's, this user's, the file owner's or the holder's user's; in the last case
// none of another user's that it has started. A stranger's file ends only processes of that stranger. A start that waits for the lock is none of
// the job. Nobody is asked where one of them may not be signalled, or could not end: one that a cgroup has frozen.
// Nor is a job whose holder has run with the lock for less than MIN_AGE_NS, or an ancestor of this process. Returns 0; or -1, nobody is asked: *WHY is a clause that
// says why, about HOLDER.
int replace_ask(const struct replace_request *request, struct replacement *replacement, const char **why);

// Waits until the child has ended the job, or given up. Returns the first process of the job that has not ended; 0: all have.
pid_t replace_finish(struct replacement *replacement);

// Ends the child, at once where the job has ended, or was not asked to. Returns as replace_finish().
pid_t replace_stop(struct replacement *replacement);

#endif
