// SPDX-License-Identifier: MIT
// exlock-launch --replace: asks the holder of a lock to end, so that the start that waits behind it takes its place.
#ifndef EXLOCK_REPLACE_H
#define EXLOCK_REPLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct replacement {
	pid_t holder;		// 0: nobody holds, nobody was asked
	pid_t killer;		// our child, which kills the holder when its time is over
};

// Sends SIGTERM to the process that the lock file at PATH names, and has it killed if it has not ended after GRACE_NS. Only a
// living process that the file identifies by PID and start time. Returns 0; or -1, nobody was asked: *WHY is a clause that
// says why, and HOLDER who holds (0: not known).
int replace_ask(const char *path, uint64_t grace_ns, struct replacement *replacement, const char **why);

// Ends what replace_ask() began. Returns whether the holder had to be killed.
bool replace_finish(struct replacement *replacement);

#endif
