// SPDX-License-Identifier: MIT
// The mark that descendants of a holder inherit, EXCLUSIVELOCK_INSTANCE: which instance of which lock file (device and inode), and
// in which session the instance was. Where a descriptor keeps the lock over exec: its number and what is to become of it.
//
//	PID.START.DEVICE.INODE.SESSION[.FLAGS.SPACE.DESCRIPTOR][+FLAGS.DEVICE.INODE.DESCRIPTOR]...
#ifndef EXLOCK_MARK_H
#define EXLOCK_MARK_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// How many outer locks are handed on in one mark. Of more, the oldest ones are held by their PID alone.
#define MARK_OUTER_MAX 8
// Room for a mark and its final zero byte.
#define MARK_MAX ((size_t)(8 + 4 * MARK_OUTER_MAX) * TEXT_NUMBER_MAX)

// What is to become of a descriptor.
#define MARK_TREE 1u		// it stays open in all descendants: scope tree
#define MARK_STAYS 2u		// it stays open in the holder, whatever that calls exec for: the record does not name the holder
#define MARK_LAYERED 4u		// a mapping does not keep the flock
#define MARK_FLAGS_MAX 7u

// An inherited descriptor that has the flock of a lock file.
struct mark_descriptor {
	int number;		// -1: none
	unsigned flags;
	dev_t device;
	ino_t inode;
};

struct mark {
	pid_t pid;
	uint64_t start;
	pid_t session;		// 0: the mark's process is no child of the instance, but a later descendant
	uint64_t space;		// of the instance, see process.h; 0: not known
	struct mark_descriptor lock;	// its file is the instance's, whether there is a descriptor or not
	struct mark_descriptor outer[MARK_OUTER_MAX];	// of locks around this one, the innermost last
	int outers;
};

void mark_write(const struct mark *mark, char buffer[MARK_MAX]);

// Understands TEXT (may be NULL), which is to be exactly what mark_write() writes. Pure. False: it is no mark.
bool mark_parse(const char *text, struct mark *mark);

// Adds DESCRIPTOR as the innermost outer one. Returns the number of the one that had to go for it; -1: none.
int mark_add_outer(struct mark *mark, const struct mark_descriptor *descriptor);

// Whether the lock file that MARK names is the file of STATUS. Two file systems may have files with the same inode number.
bool mark_is_of(const struct mark *mark, const struct stat *status);

#endif
