// SPDX-License-Identifier: MIT
// One look at a lock file: opened, its flock taken, and judged by its record.
#ifndef EXLOCK_CLAIM_H
#define EXLOCK_CLAIM_H

#include "budget.h"
#include "process.h"
#include "record.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

enum claim_result {
	CLAIM_TAKEN,	// nobody's; now the record names this process
	CLAIM_OWN,	// this process', from before it called exec
	CLAIM_HELD,	// the record names a living process
	CLAIM_BUSY,	// the flock is taken
	CLAIM_EMPTY,	// a peer has created the file and not written its PID yet
	CLAIM_AGAIN,	// the file went away, or this look does not tell
	CLAIM_FAILED,	// it cannot be judged
};

struct claim {
	int held;		// has the flock; -1: not open
	int fd;			// the record is read and written by it. The same, or another one, where what is exec'd is to inherit the first
	bool created;		// by us, just now
	ino_t lost;		// what was created just now, but another one was there first to take its flock
	bool writable;
	bool unread;		// held as far as is known: somebody does not let go of the record's lock
	bool left;		// the record said, when it was judged, that its process has left: RECORD_HINT_LEFT
	struct stat status;	// once judged
	pid_t holder;		// where it is held; 0: not known
	uint64_t settles_in;	// record_settles_in()
	bool nameless;		// its PID is another process' here
	bool vouched;		// the holder's PID is not just what anybody may have written
	int error;		// where it failed, an errno; 0: see why
	const char *why;
};

// How a lock file is opened.
struct claim_way {
	bool block;		// wait for the flock
	bool apart;		// the flock is taken on a description that is open for reading only, the record written through another one
	bool threads;		// the process may have others, whose umask is to be left alone
};

// Opens the file at PATH and takes its flock: by flopen(3), so what is open is what is at the path. A file that may not be
// written is opened for reading. False and errno: EWOULDBLOCK: it is taken.
bool claim_open(const char *path, const struct claim_way *way, struct claim *claim);

// The same, and creates the file where there is none.
bool claim_open_or_create(const char *path, const struct claim_way *way, struct claim *claim);

// The same by the inherited descriptor HELD, which is to have the flock of the file at PATH. Where it has not: closes it, and returns false.
bool claim_inherit(const char *path, int held, struct claim *claim);

// Has the flock of CLAIM taken on a description of its own, as with `apart`, where it is not taken yet.
void claim_part(const char *path, struct claim *claim);

// Moves what is open above the standard descriptors; closes it.
void claim_move_up(struct claim *claim);
void claim_close(const struct claim *claim);

// Looks whose the open file is and, if nobody's, writes SELF into its record. An empty file is nobody's if its inode is UNCLAIMED.
// Leaves the file open whatever the result; if it was taken with `apart`, the record is locked until its descriptor is closed.
enum claim_result claim_judge(const char *path, const struct process_self *self, ino_t unclaimed, struct budget *budget, struct claim *claim);

// Whether the file of STATUS is still at PATH: a Python peer deletes it without taking the flock.
bool claim_is_at(const char *path, const struct stat *status);

// Deletes the file open as FD, which is to be the one at PATH with DEVICE and INODE, if its record names this process or none that
// lives, and still is LAST, as it was when this process had the flock: in another PID namespace a newcomer may have our PID. What peers
// still read in it refuses them. Returns whether.
bool claim_delete(const char *path, int fd, dev_t device, ino_t inode, const struct record *last);

// The process of RECORD, in the file of CLAIM, holds.
void claim_set_holder(struct claim *claim, const struct record *record);

#endif
