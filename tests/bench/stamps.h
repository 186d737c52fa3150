// SPDX-License-Identifier: MIT
// Memory that the runners share with the programs they start, which say there when their main began and when it was about to end.
#ifndef EXLOCK_BENCH_STAMPS_H
#define EXLOCK_BENCH_STAMPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define STAMPS_VARIABLE "BENCH_STAMPS"
#define STAMPS_MAX 4096

// One program's, in the order in which they came.
struct stamp {
	pid_t pid, parent;
	_Atomic uint64_t begun, ended;	// by clock_now(); 0: not yet
};

struct stamps {
	_Atomic int inside;	// how many are between the two
	_Atomic int most;	// the most at a time so far
	_Atomic uint32_t go;	// whether who waits may go on
	_Atomic int waiting;	// how many have come to wait
	_Atomic int count;	// of the entries; the programs count those, too, for which there was no room
	struct stamp entries[STAMPS_MAX];
};

// For a runner: makes them, and puts where they are into our environment. Ends the program on failure.
struct stamps *stamps_create(void);

// Forgets what was said there.
void stamps_clear(struct stamps *stamps);

// The entry of the program that was started as process PID, or by one that was; NULL: there is none.
const struct stamp *stamps_of(const struct stamps *stamps, pid_t pid);

// For a program that was started: finds them. NULL: there are none.
struct stamps *stamps_find(void);

// Says that main began at BEGUN. NULL: there is no room.
struct stamp *stamps_begin(struct stamps *stamps, uint64_t begun);

// Says that it is about to end.
void stamps_end(struct stamps *stamps, struct stamp *stamp);

// Sleeps until stamps_go().
void stamps_wait(struct stamps *stamps);

// Wakes all who wait; whoever comes later does not wait at all.
void stamps_go(struct stamps *stamps);

#endif
