// SPDX-License-Identifier: MIT
// The keeper's signals: none takes it by surprise, and the command gets what it would have had.
#ifndef EXLOCK_SIGNALS_H
#define EXLOCK_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>

struct signals_before {
	sigset_t mask;
	sigset_t ignored;
};

// Of alarm(2) and setitimer(2), which a process keeps when it becomes another program, and does not hand on to those that it forks.
struct signals_timers {
	struct itimerval timers[ITIMER_PROF + 1];
};

// Blocks all signals, and makes none ignored, so that each can be read. Tells how it was BEFORE.
void signals_hold(struct signals_before *before);
void signals_restore(const struct signals_before *before);

// A descriptor to read signals from, see signalfd(2); -1 and errno.
int signals_open(void);

// Stops the timers of this process, and tells how they were.
void signals_take_timers(struct signals_timers *taken);
void signals_set_timers(const struct signals_timers *timers);

// Whether SIGNAL, when it is the kernel that has sent it to this process, was meant for this one alone, and has to be passed on to a child that
// stands in its place.
bool signals_is_for_one(int signal);

// Whether SIGNAL, left to itself, ends or stops a process.
bool signals_ends(int signal);
bool signals_stops(int signal);

// Stops this process by SIGNAL, as if it had not been held, until it is continued.
void signals_stop(int signal);

// Ends this process by SIGNAL.
_Noreturn void signals_die(int signal);

#endif
