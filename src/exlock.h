// SPDX-License-Identifier: MIT
#ifndef EXLOCK_H
#define EXLOCK_H

#include <stdbool.h>

// Takes the lock that the environment asks for, leaves its marks there, and sees to it that the lock is given back at the end; or lets
// this process pass by; or ends it. PRELOADED: the process is a program of which it has to be asked first whether it is meant; otherwise
// it is the launcher, which becomes the one that is.
void exlock_start(bool preloaded);

// What to call before a start that is refused, or whose lock cannot be judged, ends this process; NULL: nothing. For the launcher.
extern void (*exlock_before_end)(void);

// Whether the lock that exlock_start() took outlasts exec, by the record or by a descriptor that is inherited.
bool exlock_lasts(void);

#endif
