// SPDX-License-Identifier: MIT
// The mark that descendants of a holder inherit, EXCLUSIVELOCK_INSTANCE: which instance of which lock file (device and inode), and
// in which session the instance was. With scope tree also the descriptor that keeps the lock.
#ifndef EXLOCK_MARK_H
#define EXLOCK_MARK_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// Room for a mark and its final zero byte.
#define MARK_MAX (6 * TEXT_NUMBER_MAX + 6)

struct mark {
	pid_t pid;
	uint64_t start;
	dev_t device;
	ino_t inode;
	pid_t session;		// 0: the mark's process is no child of the instance, but a later descendant
	int descriptor;		// -1: none
};

void mark_write(const struct mark *mark, char buffer[MARK_MAX]);

// Understands TEXT (may be NULL), which is to be exactly what mark_write() writes. Pure. False: it is no mark.
bool mark_parse(const char *text, struct mark *mark);

// Whether the lock file that MARK names is the file of STATUS. Two file systems may have files with the same inode number.
bool mark_is_of(const struct mark *mark, const struct stat *status);

#endif
