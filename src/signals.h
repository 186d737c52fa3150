// SPDX-License-Identifier: MIT
// The keeper's signals: none takes it by surprise, and the command gets what it would have had.
#ifndef EXLOCK_SIGNALS_H
#define EXLOCK_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

struct signals_before {
	sigset_t mask;
	sigset_t ignored;
};

// Blocks all signals, and makes none ignored, so that each can be read. Tells how it was BEFORE.
void signals_hold(struct signals_before *before);
void signals_restore(const struct signals_before *before);

// A descriptor to read signals from, see signalfd(2); -1 and errno.
int signals_open(void);

// Whether SIGNAL, left to itself, ends or stops a process.
bool signals_ends(int signal);
bool signals_stops(int signal);

// Stops this process by SIGNAL, as if it had not been held, until it is continued.
void signals_stop(int signal);

// Ends this process by SIGNAL.
_Noreturn void signals_die(int signal);

#endif
