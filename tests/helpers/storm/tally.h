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
	VICTIMS = 256,
	ATTEMPTS = 8192,
	WAY_MAX = 64,

	OVERLAPPED = 9,
	REFUSED = 77,
	DENIED = 78,		// by the kernel: another user's file
	WITHDRAWN = 79,		// a peer in one of its own gaps
	BROKEN = 99,
	UNREPLACED = 125,
};

// A lock file. Of two that have one inode number, the second once the first was deleted, the versions differ; 0: it is not told.
struct file {
	dev_t device;
	ino_t inode;
	nlink_t links;
	mode_t mode;
	off_t size;
	unsigned long version;
};

enum kind { EXLOCK, PYTHON, FLOCK, KINDS };

// Why a peer comes to run beside another although nobody but itself could have prevented it: see gaps.c; FAR_DEATH, of ours:
// see entrance.c. PINNED: a start was refused that no holder refused, see slots.c. HEIRLESS: a process was killed beside the copy of its own
// to which it was to leave the lock; the copy goes on without one.
enum gap { NO_GAP, DEAD_FILE, OVERTAKEN, UNSEEN, LAST_INSTANT, OTHER_PEER, FAR_DEATH, PINNED, HEIRLESS, GAPS };

// One start that only tries and leaves, for the question who held when it was refused.
struct attempt {
	double start, end;
	bool refused;
};

struct tally {	// NOLINT(clang-analyzer-optin.performance.Padding): by what belongs together
	atomic_ulong launches, refusals, denials, kills, overlaps, errors, lost;
	atomic_ulong wins[KINDS], gaps[GAPS];
	atomic_ulong successions, stale;
	atomic_ulong replaced;		// our processes that were asked to end by a start with --replace
	atomic_ulong unreplaced;	// such starts that ended with 125

	// How the programs are to behave.
	atomic_bool calm;		// try and leave, nothing else
	atomic_bool apart;		// in two PID namespaces
	atomic_bool succession;		// some start their own copy, and leave the lock to it
	atomic_bool daemons_succeed;	// daemons do, too

	// The stranger: whether there is one, is to keep its hands off, and does so; and how often it has done what it does.
	atomic_bool strange, rest, resting;
	atomic_ulong strokes;

	// Who has the oracle, and what it was last seen to begin.
	atomic_long winner;
	atomic_int kind, slot, step;
	atomic_ulong inode, version;	// of its lock file
	atomic_bool daemon, second_thread;
	atomic_bool unrecorded;		// it may not write that file
	atomic_bool execed;		// it has called exec; before that the file had no RECORD_HINT_MAPPED
	atomic_bool bare;		// its image has loaded no library, which would do something at its end
	atomic_bool pid_alone;		// between exec and the next image, or in one that takes no preload
	atomic_bool ending;		// one of its processes is about to end
	atomic_long predecessor;	// it started its own copy, to which it leaves the lock; 0: none did
	atomic_ulong space;		// its PID namespace
	char winners_way[WAY_MAX];	// how it was started, in words
	atomic_uint relatives;		// its processes: the one that took the lock, and those forked from it
	atomic_long relative[RELATIVES];

	// The last ones that the storm killed, at any moment. In two PID namespaces a PID is another process', in another slot.
	atomic_uint kills_told;
	atomic_long victim[VICTIMS];
	atomic_int victims_slot[VICTIMS];

	// Who of ours is about to take the oracle in each slot, or was killed then, and in which PID namespace.
	atomic_long entering[SLOTS];
	atomic_ulong entering_space[SLOTS];

	// The last files that Python programs deleted.
	atomic_uint deletions;
	atomic_ulong deleted_inode[RELATIVES], deleted_version[RELATIVES];

	// The last Python programs that found somebody alive in the record, and whom.
	atomic_uint visits;
	atomic_long visitor[RELATIVES], visited[RELATIVES];

	// How long a start took until it ran or was refused, and how long an end by exit() or quick_exit(), at most, in microseconds.
	// STARTED_AT and LEFT_AT are of the start in the slot; 0: it has not left.
	atomic_ulong longest_start, longest_end;
	atomic_ulong started_at[SLOTS], left_at[SLOTS];

	// Set by the program: the start in this slot has got in.
	atomic_bool won[SLOTS];
	char way[SLOTS][WAY_MAX];	// how it was started, in words
	atomic_long started[SLOTS];	// its PID

	// A start of this round takes no preload: it leaves its file.
	atomic_bool untidy;

	atomic_uint attempts;
	struct attempt attempt[ATTEMPTS];
};

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline unsigned long now_us(void)
{
	return (unsigned long)(now() * 1e6);
}

// LONGEST is at least the time since BEGAN.
static inline void note_time(atomic_ulong *longest, unsigned long began)
{
	unsigned long took = now_us() - began, before = *longest;

	while (took > before && !atomic_compare_exchange_weak(longest, &before, took))
		;
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

static inline struct file file_of(const struct stat *status)
{
	return (struct file){
		.device = status->st_dev, .inode = status->st_ino, .links = status->st_nlink, .mode = status->st_mode,
		.size = status->st_size,
	};
}

// The open file FD, or the one at PATH with FD AT_FDCWD. False: there is none.
static inline bool find_file(int fd, const char *path, struct file *file)
{
	union {
		struct file_handle handle;
		unsigned char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} name = { .handle = { .handle_bytes = MAX_HANDLE_SZ } };
	int flags = *path ? 0 : AT_EMPTY_PATH, mount;
	struct stat status;

	if (fstatat(fd, path, &status, flags) < 0)
		return false;
	*file = file_of(&status);
	if (name_to_handle_at(fd, path, &name.handle, &mount, flags) == 0)
		for (unsigned i = 0; i < name.handle.handle_bytes; i++)
			file->version = file->version * 31 + name.handle.f_handle[i];
	return true;
}

static inline bool is_same_file(unsigned long inode, unsigned long version, const struct file *file)
{
	return inode != 0 && inode == file->inode && (version == file->version || version == 0 || file->version == 0);
}

// The oracle: a lock of its own that everybody who gets in takes and keeps as long as it can. An open file description lock:
// kept through fork and exec, and let go by the kernel. The peers, who do not exclude each other in all cases, keep another byte
// of that file from before they get in until they have deleted theirs. A third byte says that the tally tells of who has the oracle.
enum oracle_byte { THE_ORACLE, AMONG_PEERS, SETTLED };

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

// Waits until the tally tells of who has the oracle. False: nobody has it.
static inline bool await_settled(int oracle)
{
	while (is_anybodys(oracle, THE_ORACLE)) {
		if (is_anybodys(oracle, SETTLED))
			return true;
		usleep(20);
	}
	return false;
}

static inline void leave_oracle(int oracle)
{
	(void)set_byte(oracle, SETTLED, F_UNLCK);
	(void)set_byte(oracle, THE_ORACLE, F_UNLCK);
}

static inline void add_relative(struct tally *tally, long pid)
{
	tally->relative[tally->relatives++ % RELATIVES] = pid;
}

// PID in SLOT is about to be killed.
static inline void tell_kill(struct tally *tally, long pid, int slot)
{
	unsigned index = tally->kills_told++ % VICTIMS;

	tally->victims_slot[index] = slot;
	tally->victim[index] = pid;
}

// SLOT -1: in any.
static inline bool was_killed(const struct tally *tally, long pid, int slot)
{
	for (int i = 0; i < VICTIMS; i++)
		if (tally->victim[i] == pid && (slot == -1 || tally->victims_slot[i] == slot))
			return true;
	return false;
}

static inline bool winner_was_killed(const struct tally *tally)
{
	return tally->slot >= 0 && was_killed(tally, tally->winner, tally->slot);
}

// A Python program is about to delete FILE.
static inline void tell_deletion(struct tally *tally, const struct file *file)
{
	unsigned index = tally->deletions++ % RELATIVES;

	tally->deleted_version[index] = file->version;
	tally->deleted_inode[index] = file->inode;
}

static inline bool tally_deleted(const struct tally *tally, const struct file *file)
{
	for (int i = 0; i < RELATIVES; i++)
		if (is_same_file(tally->deleted_inode[i], tally->deleted_version[i], file))
			return true;
	return false;
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

// The ORACLE was taken by this process.
static inline void get_in(struct tally *tally, int oracle, enum kind kind, int slot, const struct file *file, bool writable)
{
	tally->kind = (int)kind;
	tally->slot = slot;
	snprintf(tally->winners_way, WAY_MAX, "%s", slot >= 0 ? tally->way[slot] : "a command");
	tally->inode = file->inode;
	tally->version = file->version;
	tally->unrecorded = !writable;
	tally->daemon = tally->second_thread = tally->execed = tally->bare = tally->pid_alone = tally->ending = false;
	tally->predecessor = 0;
	tally->space = pid_space();
	tally->relatives = 0;
	add_relative(tally, getpid());
	tally->step = 0;
	tally->winner = getpid();
	tally->wins[kind]++;
	(void)set_byte(oracle, SETTLED, F_WRLCK);
}

#endif
