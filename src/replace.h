// SPDX-License-Identifier: MIT
// exlock-launch --replace: asks the holder of a lock to end, so that the start that waits behind it takes its place.
#ifndef EXLOCK_REPLACE_H
#define EXLOCK_REPLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct replacement {
	pid_t holder;		// who holds, or does not let anybody else in; 0: not known, or nobody
	bool waits;		// HOLDER has given the lock back, and is only to be waited for
	pid_t killer;		// our child, which asks the holder to end and kills it when its time is over; 0: nobody is asked
};

// Has a child send SIGTERM to the process that the lock file at PATH names, as soon as this process is in line for the lock, and SIGKILL
// if that has not ended GRACE_NS later. Only a living process that the file identifies by PID and start time, and only if the file is
// believed: root, this user or that process' own user owns it, and nobody else may write to it or exchange it. Returns 0; or -1, nobody
// is asked: *WHY is a clause that says why.
int replace_ask(const char *path, uint64_t grace_ns, struct replacement *replacement, const char **why);

// Ends what replace_ask() began. Returns whether the holder had to be killed.
bool replace_finish(struct replacement *replacement);

#endif
