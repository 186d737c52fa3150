// SPDX-License-Identifier: MIT
// What the keeper sees to while it waits for whatever it waits for: the lease's clock first, then the command's end, and signals.
#ifndef EXLOCK_LOOP_H
#define EXLOCK_LOOP_H

#include "command.h"
#include "lease.h"

#include <curl/curl.h>

enum loop_stage {
	LOOP_ASKING,	// for the lock: the child waits for the word
	LOOP_HOLDING,	// the command runs
	LOOP_LEAVING,	// the lock is given back
};

struct loop {
	struct command *command;
	const struct localhold *hold;
	const struct lease *lease;	// with an id of 0: none yet
	const struct signals_before *before;
	enum loop_stage stage;
	bool tree;		// the lock is held until every descendant has ended
	int signals, timer;
	int ending;		// a signal that ends the keeper, where no command is there to get it; 0: none
	bool late;		// the command was asked to end, the lease not being renewed
	bool lost;		// it was killed, the lease being over
	bool over;		// nothing that the lock is held for is left
};

// False and errno: no descriptor is to be had.
bool loop_open(struct loop *loop);

// Sleeps until UNTIL (lease_clock), or something happens, and sees to it. False: there is no reason to go on with what is being
// waited for. An etcd_waiter, with a loop for its owner.
bool loop_wait(void *loop, CURLM *curl, uint64_t until);

// The lease is gone, or the lock: kills the command and all its descendants.
void loop_lose(struct loop *loop);

#endif
