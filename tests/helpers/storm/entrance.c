// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "entrance.h"

static const useconds_t LOOK_AGAIN = 300;
static const char *const steps[] = {
	"main", "background command", "close all", "workers", "daemon by exit", "daemon by _exit", "has a successor", "exec itself",
	"exec the static twin", "exit", "_exit", "_Exit", "quick_exit", "abort", "SIGKILL",
};
static const char *const kinds[] = { "", " (Python)", " (flock)" };

// The lock file by the mark: "PID.START.DEVICE.INODE.SESSION.FLAGS.SPACE.DESCRIPTOR". Over another user's file, which it may not write, a
// process has a descriptor that stays open, and the flock alone holds the lock: no Python program sees that.
static bool is_recorded(struct file *file)
{
	enum { STAYS = 2 };
	const char *mark = getenv("EXCLUSIVELOCK_INSTANCE"), *path = getenv("EXCLUSIVELOCK_LOCKFILE");
	unsigned long inode = 0;
	unsigned flags = 0;
	int descriptor = -1;

	if (mark)
		(void)sscanf(mark, "%*u.%*u.%*u.%lu.%*u.%u.%*u.%d", &inode, &flags, &descriptor);
	if (descriptor >= 0 && find_file(descriptor, "", file))
		return !(flags & STAYS);
	if (!path || !find_file(AT_FDCWD, path, file) || file->inode != inode)
		*file = (struct file){ .inode = inode, .links = 1 };
	return true;
}

static bool is_raw_exit(const struct tally *tally)
{
	return tally->step == RAW_EXIT || tally->step == CAPITAL_EXIT;
}

// A process that dies without exit(), has loaded no library, or leaves the lock to one that it was forked from, raises no tombstone. While
// others read its memory, or its threads end one by one, the flock may go before its other files: ours look for processes that are just
// dying, but there are none to be seen in another PID namespace. Where a stranger has taken all names, no process raises a tombstone.
static bool dies_far_away(const struct tally *tally)
{
	bool without_exit = is_raw_exit(tally) || tally->step == ABORT || tally->step == SIGKILLED;

	return tally->kind == EXLOCK && tally->space != pid_space() &&
	       (winner_was_killed(tally) || (tally->ending && (tally->relatives > 1 || without_exit || tally->bare || tally->strange)));
}

// Who called exec beside a worker that had the flock goes on by its PID, and those that it forks by their mappings (RECORD_HINT_MAPPED),
// which no other user sees. So when it ends without exit(), which would hand the record on.
static bool is_unseen_here(const struct tally *tally)
{
	const char *path = getenv("EXCLUSIVELOCK_LOCKFILE");
	bool without_exit = tally->step == DAEMON__EXIT || is_raw_exit(tally) || tally->step == ABORT || winner_was_killed(tally);
	struct stat status;

	return tally->kind == EXLOCK && tally->execed && without_exit && getuid() != 0 && path && stat(path, &status) == 0 &&
	       (status.st_mode & S_IXUSR) && status.st_uid != getuid();
}

// One that was killed like that when it had just taken the oracle: the tally does not tell of it.
static bool died_entering_far_away(const struct tally *tally)
{
	for (int slot = 0; slot < SLOTS; slot++)
		if (tally->entering_space[slot] != pid_space() && was_killed(tally, tally->entering[slot], slot))
			return true;
	return false;
}

static void tell_entering(struct tally *tally, int slot, long pid)
{
	if (slot < 0)
		return;
	tally->entering_space[slot] = pid_space();
	tally->entering[slot] = pid;
}

__attribute__((noreturn)) static void withdraw(struct tally *tally, enum gap gap)
{
	tally->gaps[gap]++;
	_exit(WITHDRAWN);
}

// The holder was killed beside its new copy; or its own parent had been, and the record names that one.
static bool has_no_heir(const struct tally *tally)
{
	return tally->predecessor && (was_killed(tally, tally->predecessor, tally->slot) || was_killed(tally, tally->relative[0], tally->slot));
}

// Whether a Python program has deleted the lock file of who is in.
static bool was_robbed(const struct tally *tally)
{
	const struct file file = { .inode = tally->inode, .version = tally->version };

	return tally_deleted(tally, &file);
}

__attribute__((noreturn)) static void fail(struct tally *tally, int oracle, int slot)
{
	struct file file;
	bool recorded = is_recorded(&file), settled = await_settled(oracle);

	// No Python program saw that one, nor does any see flock(1); and this one came behind the Python program.
	if (((tally->kind == EXLOCK && tally->unrecorded) || tally->kind == FLOCK) && was_robbed(tally))
		withdraw(tally, UNSEEN);
	// Nor this one; the Python program may have gone by now, and the file with it.
	if (!recorded && (tally->kind == PYTHON || tally_deleted(tally, &file)))
		withdraw(tally, UNSEEN);
	if (dies_far_away(tally) || (!settled && died_entering_far_away(tally)))
		withdraw(tally, FAR_DEATH);
	if (is_unseen_here(tally))
		withdraw(tally, UNSEEN);
	if (has_no_heir(tally))
		withdraw(tally, HEIRLESS);
	dprintf(STDERR_FILENO, "overlap: %ld%s (%s) started before %ld%s (%s) was gone; last seen at: %s%s%s%s%s%s%s, %u processes; its file: %lu, ours: %lu\n",
		(long)getpid(), recorded ? "" : ", unrecorded,", slot >= 0 ? tally->way[slot] : "a command", (long)tally->winner, kinds[tally->kind],
		tally->winners_way, steps[tally->step], tally->ending ? ", ending" : "",
		tally->second_thread ? ", second thread" : "", tally->daemon ? ", daemon" : "",
		tally->predecessor ? ", successor" : "", tally->unrecorded ? ", unrecorded" : "",
		tally->space != pid_space() ? ", far away" : "", tally->relatives, (unsigned long)tally->inode, (unsigned long)file.inode);
	tally->overlaps++;
	_exit(OVERLAPPED);
}

// The process is in no record. A Python program that did not see it may be in, or may have come and gone, and with it the file: looked
// for while none can come.
static void look_for_python(struct tally *tally, int oracle, int slot)
{
	struct file file;

	while (!set_byte(oracle, AMONG_PEERS, F_WRLCK)) {
		if (is_anybodys(oracle, THE_ORACLE))
			fail(tally, oracle, slot);
		usleep(LOOK_AGAIN);
	}
	if (!is_recorded(&file) && tally_deleted(tally, &file))
		withdraw(tally, UNSEEN);
}

// Waits until who dies far away is gone. If this process left, the next one would not see that one either, wherever it is. False: it is
// not so, or somebody else has got in meanwhile.
static bool outlast_far_death(struct tally *tally, int oracle)
{
	bool settled = await_settled(oracle);
	long winner = tally->winner;

	if (!dies_far_away(tally) && (settled || !died_entering_far_away(tally)))
		return false;
	while (!take_oracle_now(oracle)) {
		if (tally->winner != winner)
			return false;
		usleep(LOOK_AGAIN);
	}
	tally->gaps[FAR_DEATH]++;
	return true;
}

int entrance_take_oracle(struct tally *tally, const char *folder, int slot)
{
	int oracle = open_oracle(folder);
	struct file file;
	bool recorded = is_recorded(&file);

	if (!recorded)
		look_for_python(tally, oracle, slot);
	tell_entering(tally, slot, getpid());
	if (!take_oracle_now(oracle) && !outlast_far_death(tally, oracle)) {
		tell_entering(tally, slot, 0);
		fail(tally, oracle, slot);
	}
	if (!recorded)
		(void)set_byte(oracle, AMONG_PEERS, F_UNLCK);
	// The kernel closes the lowest descriptor last of all.
	if (!one_in(4) && dup2(oracle, STDIN_FILENO) == STDIN_FILENO) {
		close(oracle);
		oracle = STDIN_FILENO;
	}
	get_in(tally, oracle, EXLOCK, slot, &file, recorded);
	tell_entering(tally, slot, 0);
	return oracle;
}
