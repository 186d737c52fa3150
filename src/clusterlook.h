// SPDX-License-Identifier: MIT
// What exlockctl reads of a cluster's locks: the keys, page by page and without their values, and then the values of those that are a
// lock's. All of it as it was at one revision. Every function ends the process, with the reason said, where it cannot.
#ifndef EXLOCK_CLUSTERLOOK_H
#define EXLOCK_CLUSTERLOOK_H

#include "clustersettings.h"
#include "clustervalue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLUSTERLOOK_TEXT_MAX 32

enum clusterlook_state {
	CLUSTERLOOK_WAITING,
	CLUSTERLOOK_HELD,	// the first of its queue
	CLUSTERLOOK_DONE,	// likewise, but its command has ended: the name stays taken until the lease ends
};

// A key in a lock's queue.
struct clusterlook_item {
	struct etcd_entry entry;
	char *exact_name;	// with whatever bytes it has
	char *name;		// readable
	enum clusterlook_state state;
	size_t waiting;		// of the oldest with its name: how many others there are
	struct clusterholder holder;
	time_t until;		// of one that is done: when its lease ends, by the clock on the wall here; 0: not known
	char words[2 * CLUSTERLOOK_TEXT_MAX];	// for the state
	char pid[CLUSTERLOOK_TEXT_MAX], since[CLUSTERLOOK_TEXT_MAX];
};

struct clusterlook {
	struct clustersettings settings;
	struct etcd *etcd;
	uint64_t revision;
	struct clusterlook_item *items;	// by name, the oldest of each first
	size_t count, room;
};

// Reads the settings from the environment, and looks for all locks whose names begin with NAME, or are below it.
void clusterlook_open(struct clusterlook *look, const char *name);
void clusterlook_close(struct clusterlook *look);

// The first key of the queue of NAME, which may be no lock's; its CREATED is 0 where there is none. To be freed.
struct etcd_entry clusterlook_first(struct clusterlook *look, const char *name);

// The state in one word.
const char *clusterlook_word(enum clusterlook_state state);

// TEXT with what could drive a terminal made visible, in memory to be freed.
char *clusterlook_visible(const char *text);

#endif
