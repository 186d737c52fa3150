// SPDX-License-Identifier: MIT
// The mark that descendants of a holder inherit, EXCLUSIVELOCK_INSTANCE: which instance of which lock file, and
// in which session it was. With scope tree also the descriptor that keeps the lock.
#ifndef EXLOCK_MARK_H
#define EXLOCK_MARK_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Room for a mark and its final zero byte.
#define MARK_MAX (5 * TEXT_NUMBER_MAX + 5)

struct mark {
	pid_t pid;
	uint64_t start;
	ino_t inode;
	pid_t session;
	int descriptor;		// -1: none
};

void mark_write(const struct mark *mark, char buffer[MARK_MAX]);

// Understands TEXT (may be NULL). Pure. False: it is no mark.
bool mark_parse(const char *text, struct mark *mark);

#endif
