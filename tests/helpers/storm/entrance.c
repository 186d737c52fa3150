// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "entrance.h"

static const useconds_t LOOK_AGAIN = 300;
static const char *const steps[] = {
	"main", "background command", "close all", "workers", "daemon by exit", "daemon by _exit", "exec itself",
	"exec the static twin", "exit", "_exit", "quick_exit", "abort", "SIGKILL",
};
static const char *const kinds[] = { "", " (Python)", " (flock)" };

// The lock file by the mark: "PID.START.INODE.SESSION.DESCRIPTOR". Over another user's file, which it may not write, a process
// has a descriptor, and the flock alone holds the lock: no Python program sees that.
static bool is_recorded(struct stat *file)
{
	const char *mark = getenv("EXCLUSIVELOCK_INSTANCE");
	unsigned long inode = 0;
	int descriptor = -1;

	if (mark)
		(void)sscanf(mark, "%*u.%*u.%lu.%*u.%d", &inode, &descriptor);
	if (descriptor >= 0 && fstat(descriptor, file) == 0)
		return (fcntl(descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY;
	*file = (struct stat){ .st_ino = inode, .st_nlink = 1 };
	return true;
}

// A process that dies without exit(), or leaves the lock to one that it was forked from, raises no tombstone. While others read its
// memory, or its threads end one by one, the flock may go before its other files: ours look for processes that are just dying, but
// there are none to be seen in another PID namespace.
static bool dies_far_away(const struct tally *tally)
{
	return tally->kind == EXLOCK && tally->space != pid_space() && tally->ending &&
	       (tally->killed || tally->relatives > 1 || tally->step == RAW_EXIT || tally->step == ABORT || tally->step == SIGKILLED);
}

__attribute__((noreturn)) static void withdraw(struct tally *tally, enum gap gap)
{
	tally->gaps[gap]++;
	_exit(WITHDRAWN);
}

__attribute__((noreturn)) static void fail(struct tally *tally)
{
	bool beside_python = tally->kind == PYTHON, recorded;
	struct stat file;

	// A new winner may just be setting the fields. The Python program that was in may have gone, and the file with it.
	usleep(LOOK_AGAIN);
	recorded = is_recorded(&file);
	// Nor did it see that one, which it may have robbed of its file at last.
	if (tally->kind == EXLOCK && tally->unrecorded && tally->inode != file.st_ino)
		withdraw(tally, UNSEEN);
	if (!recorded && (beside_python || tally->kind == PYTHON || file.st_nlink == 0))
		withdraw(tally, UNSEEN);
	if (dies_far_away(tally))
		withdraw(tally, FAR_DEATH);
	dprintf(STDERR_FILENO, "overlap: %ld%s started before %ld%s was gone; last seen at: %s%s%s%s; its file: %lu, ours: %lu\n",
		(long)getpid(), recorded ? "" : ", unrecorded,", (long)tally->winner, kinds[tally->kind], steps[tally->step],
		tally->second_thread ? ", second thread" : "", tally->daemon ? ", daemon" : "",
		tally->unrecorded ? ", unrecorded" : "", (unsigned long)tally->inode, (unsigned long)file.st_ino);
	tally->overlaps++;
	_exit(OVERLAPPED);
}

// The process is in no record. A Python program that did not see it may be in, or may have come and gone, and with it the file: looked
// for while none can come.
static void look_for_python(struct tally *tally, int oracle)
{
	struct stat file;

	while (!set_byte(oracle, AMONG_PEERS, F_WRLCK)) {
		if (is_anybodys(oracle, THE_ORACLE))
			fail(tally);
		usleep(LOOK_AGAIN);
	}
	if (!is_recorded(&file) && file.st_nlink == 0)
		withdraw(tally, UNSEEN);
}

int entrance_take_oracle(struct tally *tally, const char *folder, int slot)
{
	int oracle = open_oracle(folder);
	struct stat file;
	bool recorded = is_recorded(&file);

	if (!recorded)
		look_for_python(tally, oracle);
	if (!take_oracle_now(oracle))
		fail(tally);
	if (!recorded)
		(void)set_byte(oracle, AMONG_PEERS, F_UNLCK);
	// The kernel closes the lowest descriptor last of all.
	if (!one_in(4) && dup2(oracle, STDIN_FILENO) == STDIN_FILENO) {
		close(oracle);
		oracle = STDIN_FILENO;
	}
	get_in(tally, EXLOCK, slot, &file, recorded);
	return oracle;
}
