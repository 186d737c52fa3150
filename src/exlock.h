// SPDX-License-Identifier: MIT
#ifndef EXLOCK_H
#define EXLOCK_H

#include <stdbool.h>

// Before a program begins that has loaded the library, and may be meant: takes the lock that the environment asks for, or goes on with the
// one that was handed over to it, leaves its marks there, and sees to it that the lock is given back at the end; or lets this process pass
// by; or ends it.
void exlock_start(void);

// For a process that is about to end without exit handlers, by _exit(2): gives the lock back if this process took it or the record names
// this process by now. Any thread, a signal handler, and a child by vfork(2) may call it.
void exlock_end(void);

// The same for the launcher, which becomes the program that is meant. OUTER is the mark that it inherited, or NULL; the locks of it that are
// this process' own go on to the program. HANDS_OVER: so does the descriptor of the new one.
void exlock_take(const char *outer, bool hands_over);

// Whether exlock_take() has taken the lock.
bool exlock_is_taken(void);

// What to call before exlock_take() ends this process, since the start is refused or the lock cannot be judged; NULL: nothing.
extern void (*exlock_before_end)(void);

// Whether the lock that exlock_take() took outlasts exec, by the record or by a descriptor that stays open.
bool exlock_lasts(void);

#endif
