// SPDX-License-Identifier: MIT
// What the keeper sees to while it waits for an answer of the cluster's: the lease's clock first, then its warden, and signals.
#ifndef EXLOCK_LOOP_H
#define EXLOCK_LOOP_H

#include "warden.h"

#include <curl/curl.h>

enum loop_stage {
	LOOP_ASKING,	// for the lock: the child waits for the word
	LOOP_HOLDING,	// the command runs
	LOOP_LEAVING,	// the lock is given back
};

struct loop {
	const struct command *command;
	const struct warden *warden;
	const struct lease *lease;	// with an id of 0: none
	const struct signals_before *before;
	enum loop_stage stage;
	int signals, timer;
	int ending;		// a signal that ends the keeper, where no command is there to get it; 0: none
	uint64_t overdue;	// when the warden has to have told that the command has ended; 0: it has not, or was told
	bool told;
	bool over;		// the command has ended, and what the lock is held for besides
	struct warden_report end;	// then
	const char *why;	// where the command was killed, and not because of the lease; or NULL
};

// False and errno: no descriptor is to be had.
bool loop_open(struct loop *loop);

// Sleeps until UNTIL (lease_clock), or something happens, and sees to it. False: there is no reason to go on with what is being
// waited for. An etcd_waiter, with a loop for its owner.
bool loop_wait(void *loop, CURLM *curl, uint64_t until);

// The lease is gone, or the lock: kills the command, all its descendants and the warden.
void loop_lose(struct loop *loop);

#endif
