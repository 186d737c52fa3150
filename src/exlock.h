// SPDX-License-Identifier: MIT
#ifndef EXLOCK_H
#define EXLOCK_H

#include <stdbool.h>

// Takes the lock that the environment asks for, leaves its marks there, and sees to it that the lock is given back at the end; or lets
// this process pass by; or ends it. PRELOADED: the process is a program of which it has to be asked first whether it is meant; otherwise
// it is the launcher, which becomes the one that is.
void exlock_start(bool preloaded);

// For a process that is about to end without exit handlers, by _exit(2): gives the lock back if this process took it or the record names
// this process by now. Any thread, a signal handler, and a child by vfork(2) may call it.
void exlock_end(void);

// Whether the lock that exlock_start() took outlasts exec, by the record or by a descriptor that is inherited.
bool exlock_lasts(void);

#endif
