// SPDX-License-Identifier: MIT
// All descendants of this process, orphans included: it is their reaper. Those that it had before it became the keeper are not
// meant.
#ifndef EXLOCK_OFFSPRING_H
#define EXLOCK_OFFSPRING_H

#include <stdbool.h>
#include <sys/types.h>

// Makes this process the one that orphans come to, and remembers which children it has already. Returns 0, or -1 and errno.
int offspring_adopt(void);

// Whether there is none at all, strangers included.
bool offspring_is_none(void);

bool offspring_has(pid_t pid);

// Sends SIGNAL to every descendant that is seen and has not ended.
void offspring_signal(int signal);

// Kills every descendant, and what they fork meanwhile, until none is left; those alone that may not be signalled are. It goes on for as
// long as that takes. Children that end are reaped, each with a call of ENDED. Returns how many are left.
int offspring_kill(void (*ended)(pid_t pid, int status, void *context), void *context);

#endif
