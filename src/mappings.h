// SPDX-License-Identifier: MIT
// What another process maps, as the kernel tells it without any text: PROCMAP_QUERY, since Linux 6.11.
#ifndef EXLOCK_MAPPINGS_H
#define EXLOCK_MAPPINGS_H

#include "budget.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mappings {
	MAPPINGS_WITHOUT,	// none is the file's; or the process, or its memory, has gone
	MAPPINGS_WITH,
	MAPPINGS_UNSEEN,	// this process may not look, or the budget is used up
	MAPPINGS_AS_TEXT,	// the kernel tells it in text alone
};

// Looks in the file at PATH, a /proc/PID/maps, for a mapping as hold.c makes them, shared and not to be touched, for which IS_FILE
// returns true.
enum mappings mappings_find(const char *path, bool (*is_file)(const void *context, dev_t device, ino_t inode),
			    const void *context, struct budget *budget);

// The device that maps shows for what this process maps at ADDRESS. False: the kernel does not tell.
bool mappings_device(const void *address, dev_t *device);

#endif
