// SPDX-License-Identifier: MIT
// Who has a lock, as libexclusivelock tells it: from what this process has itself, and from what can be seen of others.
#ifndef EXLOCK_EXCLUSIVELOCKLOOK_H
#define EXLOCK_EXCLUSIVELOCKLOOK_H

#include <sys/types.h>

// The PID of the owner of the lock at PATH, if this process took it by this library, or has a share of it; 0: it has nothing, or what it
// has does not tell.
pid_t exclusivelocklook_own(const char *path);

// The PID of the process that has the lock file at PATH; 0: nobody has it; -1 and errno: it cannot be judged, or (ESRCH) a process that
// cannot be seen has it.
pid_t exclusivelocklook_holder(const char *path);

#endif
