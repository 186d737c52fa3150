// SPDX-License-Identifier: MIT
// What the storm's driver and the programs that it starts count and tell each other, in one file that all of them map.
#ifndef TALLY_H
#define TALLY_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	SLOTS = 64,
	RELATIVES = 32,
	ATTEMPTS = 8192,

	OVERLAPPED = 9,
	REFUSED = 77,
	DENIED = 78,		// by the kernel: another user's file
	WITHDRAWN = 79,		// a peer in one of its own gaps
	BROKEN = 99,
};

enum kind { EXLOCK, PYTHON, FLOCK, KINDS };

// Why a peer comes to run beside another although nobody but itself could have prevented it: see gaps.c; FAR_DEATH, of ours:
// see entrance.c.
enum gap { NO_GAP, DEAD_FILE, OVERTAKEN, UNSEEN, LAST_INSTANT, OTHER_PEER, FAR_DEATH, GAPS };

// One start that only tries and leaves, for the question who held when it was refused.
struct attempt {
	double start, end;
	bool refused;
};

struct tally {
	atomic_ulong launches, refusals, denials, kills, overlaps, errors, lost;
	atomic_ulong wins[KINDS], gaps[GAPS];

	// How the programs are to behave.
	atomic_bool calm;		// try and leave, nothing else
	atomic_bool apart;		// in two PID namespaces

	// Who has the oracle, and what it was last seen to begin.
	atomic_long winner;
	atomic_int kind, slot, step;
	atomic_ulong inode;		// of its lock file
	atomic_bool daemon, second_thread;
	atomic_bool unrecorded;		// it may not write that file
	atomic_bool pid_alone;		// between exec and the next image, or in one that takes no preload
	atomic_bool ending;		// one of its processes is about to end, or was killed
	atomic_bool killed;		// by the storm, which does not wait for the right moment
	atomic_uint kills_inside;
	atomic_ulong killed_inode[RELATIVES];	// the lock files of the last ones that were
	atomic_ulong space;		// its PID namespace
	atomic_uint relatives;		// its processes: the one that took the lock, and those forked from it
	atomic_long relative[RELATIVES];

	// Set by the program: the start in this slot has got in.
	atomic_bool won[SLOTS];
	atomic_long started[SLOTS];	// its PID

	atomic_uint attempts;
	struct attempt attempt[ATTEMPTS];
};

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline int one_in(long count)
{
	return random() % count == 0;
}

static inline void linger(void)
{
	if (one_in(2))
		usleep((useconds_t)(random() % 1000));
}

// Other users are to write to it, too.
static inline int open_for_all(const char *folder, const char *name)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		_exit(BROKEN);
	(void)fchmod(fd, 0666);
	return fd;
}

static inline struct tally *map_tally(const char *folder)
{
	int fd = open_for_all(folder, "tally");
	struct tally *tally;

	if (ftruncate(fd, sizeof *tally) < 0)
		_exit(BROKEN);
	tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (tally == MAP_FAILED)
		_exit(BROKEN);
	close(fd);
	return tally;
}

// The oracle: a lock of its own that everybody who gets in takes and keeps as long as it can. An open file description lock:
// kept through fork and exec, and let go by the kernel. The peers, who do not exclude each other in all cases, keep another byte
// of that file from before they get in until they have deleted theirs.
enum oracle_byte { THE_ORACLE, AMONG_PEERS };

static inline int open_oracle(const char *folder)
{
	return open_for_all(folder, "oracle");
}

static inline bool set_byte(int oracle, enum oracle_byte byte, short type)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1 };

	return fcntl(oracle, F_OFD_SETLK, &range) == 0;
}

static inline bool take_oracle_now(int oracle)
{
	return set_byte(oracle, THE_ORACLE, F_WRLCK);
}

static inline bool is_anybodys(int oracle, enum oracle_byte byte)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1 };

	return fcntl(oracle, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

static inline void add_relative(struct tally *tally, long pid)
{
	tally->relative[tally->relatives++ % RELATIVES] = pid;
}

static inline unsigned long pid_space(void)
{
	struct stat space;

	return stat("/proc/self/ns/pid", &space) == 0 ? space.st_ino : 0;
}

// The start in SLOT was this process' own, or that of the flock(1) that runs it, and is not over: that may have been killed.
static inline void win(struct tally *tally, int slot)
{
	if (tally->started[slot] == getpid() || tally->started[slot] == getppid())
		tally->won[slot] = true;
}

// The oracle was taken by this process.
static inline void get_in(struct tally *tally, enum kind kind, int slot, const struct stat *file, bool writable)
{
	tally->kind = (int)kind;
	tally->slot = slot;
	tally->inode = file->st_ino;
	tally->unrecorded = !writable;
	tally->daemon = tally->second_thread = tally->pid_alone = tally->ending = tally->killed = false;
	tally->space = pid_space();
	tally->relatives = 0;
	add_relative(tally, getpid());
	tally->step = 0;
	tally->winner = getpid();
	tally->wins[kind]++;
}

#endif
