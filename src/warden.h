// SPDX-License-Identifier: MIT
// The warden: a process between the keeper and the command, that does nothing but look at the clock. So the command ends in time also where
// the keeper is stopped; with all its descendants where the keeper is killed; and by the kernel, at once, where the warden is.
#ifndef EXLOCK_WARDEN_H
#define EXLOCK_WARDEN_H

#include "command.h"
#include "lease.h"

#include <stdatomic.h>

// In memory that the keeper and the warden share: times of lease_clock(), 0: never. Each may be older than the other.
struct warden_orders {
	_Atomic uint64_t late;		// the command is to be asked to end
	_Atomic uint64_t over;		// it is to be killed
};

// What the warden tells.
struct warden_report {
	enum warden_news {
		WARDEN_FORKED,
		WARDEN_STOPPED,
		WARDEN_ENDED,	// the command; what the lock is held for besides may not
		WARDEN_OVER
	} what;
	pid_t pid;			// FORKED: the command's
	int signal;			// STOPPED: the command was, by this one
	int status;			// OVER: how the command ended, as waitpid(2) has it
	bool asked;			// OVER: it was asked to end, at least once
	bool late;			// OVER: at the end it was, and the lease was not renewed since
	bool lost;			// it was killed
};

struct warden {
	pid_t pid;
	int handle;			// a pidfd of it; -1: none
	int channel;			// reports come here; packets
	struct warden_orders *orders;
};

// Forks the warden, which forks the command's child. Ends this process where it cannot. TREE: the command is over when all its descendants
// have ended.
void warden_start(struct warden *warden, struct command *command, struct localhold *hold, const struct signals_before *before, bool tree);

// Has it look at everything; continues it where it is stopped.
void warden_wake(const struct warden *warden);

// Lets the warden keep to LEASE from now on; NULL: to none. Wakes it.
void warden_order(const struct warden *warden, const struct lease *lease);

// Reads a report without waiting; false: there is none, or, ENDED, there will be none.
bool warden_read(const struct warden *warden, struct warden_report *report, bool *ended);

// How long a warden may take that was woken to tell that the command has ended. More than that takes on a busy machine: what it would have
// told is lost.
#define WARDEN_TIME (3 * LEASE_SECOND)

// Waits for the report that the command is over, for that time; false: there is none.
bool warden_await_over(const struct warden *warden, struct warden_report *report);

// Ends the warden, and nothing else.
void warden_end(struct warden *warden);

// Kills it if it is there.
void warden_kill(const struct warden *warden);

#endif
