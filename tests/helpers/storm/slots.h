// SPDX-License-Identifier: MIT
// The storm's slots: one start after the other in each, or all of them at once.
#ifndef SLOTS_H
#define SLOTS_H

#include "tally.h"

struct storm {
	struct tally *tally;
	const char *folder;
	char place[4096];		// where the programs are
	char lock_path[4096];
	char locks[4096];		// the lock directory
	char *environment[16];		// of our programs; the first variable is the preload
	const char *shim, *launcher;	// LAUNCHER "": none
	bool waiting, tree, peers, users, namespaces, times, calm;
	bool handover, closes, replaces, tidy;
};

// The slots of one process, FIRST to END, which it runs and waits for.
struct range {
	int first, end;
};

// Starts one after the other in each slot UNTIL then, and kills every third at a random instant. Returns when no process is
// left of it.
void slots_run(const struct storm *storm, struct range range, double until);

// Starts one in each slot; they all go when every write end of GATE is closed. The first is one of ours. Returns when no
// process is left of it.
void slots_start_at_once(const struct storm *storm, struct range range, const int gate[2]);

// Of the starts that only tried and left: counts and tells those that were refused while nobody else was about.
void slots_check_refusals(const struct storm *storm);

#endif
