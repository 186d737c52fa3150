// SPDX-License-Identifier: MIT
// What the launcher knows of the start it makes, and its way to change the environment.
#ifndef EXLOCK_LAUNCH_H
#define EXLOCK_LAUNCH_H

#include "config.h"
#include "environment.h"
#include "lockname.h"
#include "options.h"

#include <limits.h>
#include <stdbool.h>

// Texts lie one behind another, since each page that is written for the first time costs as much as several system calls.
#define LAUNCH_MEMORY 32768

struct launch {
	struct options options;
	const char *shim;	// this machine's
	const char *preloaded;	// what the command can load: that one, or another machine's; NULL: none
	const char *keeper;	// what takes a cluster's lock; "": it was not built
	const char *file;	// of the command
	const char *outer;	// the mark of the locks around this one; NULL: there is none
	const char *resolved;	// its path, free of symlinks; NULL: not known yet
	struct config config;
	struct lockname lock_name;
	char *lock_path;
	struct environment_room room;	// of `memory`
	char memory[LAUNCH_MEMORY];
};

// Puts SETTINGS, COUNT of them, into this process' environment.
void launch_set(struct launch *launch, const struct setting *settings, int count);

// A text made of PARTS, which end with NULL; it stays.
char *launch_join(struct launch *launch, const char *const *parts);
#define LAUNCH_JOIN(launch, ...) launch_join(launch, (const char *const[]){ __VA_ARGS__, NULL })

// SIZE bytes that stay.
void *launch_take(struct launch *launch, size_t size);

// Room for a path, and for nothing else until that is kept, or not wanted.
char *launch_place(struct launch *launch);
void launch_keep(struct launch *launch, const char *path);

// The user's own preload, without what it may have of ours.
char *launch_preload(struct launch *launch);

// Whether this process descends from the lock's holder.
bool launch_is_descendant(const struct launch *launch);

// Takes the lock, with all that goes on to the command.
void launch_take_lock(const struct launch *launch);

// The same, after the holder was asked to end.
void launch_replace(struct launch *launch);

// What to do about a cluster's lock. TAKES_PART: the machine's lock is this process'. It becomes the keeper then, which waits until
// DEADLINE. Returns if there is nothing to take: the outer lock is the same.
void launch_in_cluster(struct launch *launch, bool takes_part, uint64_t deadline);

#endif
