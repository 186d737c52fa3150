// SPDX-License-Identifier: MIT
// Peers do exactly what exclusiveprocess 0.9.3 and flock(1) do. Both have gaps of their own, in which they come to run beside
// another and nobody else can prevent it; they are looked for where they can be told for certain, mostly under the peer's own
// lock, and counted by themselves. A peer in one withdraws. All else is an overlap; and whenever it is one of ours that comes
// second, it is an overlap (but see entrance.c).
//
//	dead file	It locked a file that is no longer at the path: neither looks again once it has the lock.
//	overtaken	Python: it had created the file, but not locked it yet; an empty file is anybody's after a while. It
//			writes its PID over whatever is there by then.
//	unseen		Python sees no flock: the process that is recorded has ended, and one that it forked keeps the lock (and
//			perhaps another Python program, too, that wrote over the record in this gap); or the holder may not write
//			another user's file. flock(1) sees no PID: the holder is between exec and its next image, takes no preload,
//			or called exec while a worker had the flock.
//	last instant	The holder is ending, and has deleted the file or let go of the flock: ours wait for its end, by the
//			tombstone and by looking for dying processes; no peer does. Who of ours waits so is in the record; killed
//			meanwhile, it leaves its PID there.
//	other peer	Python and flock(1) do not exclude each other, and two Python programs not always: here a lock among
//			the peers does. Whoever of them does not get it at once withdraws.
#define _GNU_SOURCE
#include "gaps.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>

static const int HIGH = 200;
static const useconds_t LOOK_AGAIN = 300;
// More than any end takes, on a busy machine, too.
static const double LAST_INSTANT_AT_MOST = 30;

static struct tally *tally;
static const char *lock_path;
static int oracle;
static long overtaken_pid;		// whom the file named when it was found to be free

void gaps_prepare(struct tally *its_tally, const char *folder, const char *its_lock_path)
{
	int low = open_oracle(folder);

	tally = its_tally;
	lock_path = its_lock_path;
	// The kernel closes the lowest descriptor last of all: that of the flock is to go after the oracle.
	oracle = fcntl(low, F_DUPFD_CLOEXEC, HIGH);
	close(low);
	if (oracle < 0)
		_exit(BROKEN);
}

void gaps_withdraw(enum gap gap)
{
	tally->gaps[gap]++;
	_exit(WITHDRAWN);
}

static bool is_at_path(const struct file *file)
{
	struct file now;

	return find_file(AT_FDCWD, lock_path, &now) && now.device == file->device && is_same_file(now.inode, now.version, file);
}

static bool is_relative(long pid)
{
	for (unsigned i = 0; i < tally->relatives && i < RELATIVES; i++)
		if (tally->relative[i] == pid)
			return true;
	return false;
}

// By itself, or by the storm.
static bool is_ending(void)
{
	return tally->ending || winner_was_killed(tally);
}

// Whether PID is that of a Python program that came while a process of who is in was recorded and alive, and found it dead when it
// read the record, over which it wrote then.
static bool has_robbed(long pid)
{
	for (unsigned i = 0; i < RELATIVES; i++) {
		unsigned visit = tally->visits - 1 - i;

		if (visit > tally->visits)
			break;
		if (tally->visitor[visit % RELATIVES] != pid)
			continue;
		pid = tally->visited[visit % RELATIVES];
		if (is_relative(pid))
			return true;
	}
	return false;
}

void gaps_tell_visit(long visitor, long visited)
{
	unsigned index = tally->visits++ % RELATIVES;

	tally->visited[index] = visited;
	tally->visitor[index] = visitor;
}

// int(text.strip()); -1 if that is no number.
static long parse_pid(const char *text)
{
	char *end;
	long pid;

	while (isspace((unsigned char)*text))
		text++;
	pid = strtol(text, &end, 10);
	if (end == text)
		return -1;
	while (isspace((unsigned char)*end))
		end++;
	return *end ? -1 : pid;
}

long gaps_read_pid(int fd)
{
	char text[64] = "";

	return pread(fd, text, sizeof text - 1, 0) < 0 ? -1 : parse_pid(text);
}

// Ours end in a newline.
static bool is_pythons(int fd)
{
	char text[64];
	ssize_t length = pread(fd, text, sizeof text, 0);

	return length > 0 && isdigit((unsigned char)text[length - 1]);
}

// A zombie, too, is alive to Python.
bool gaps_is_alive(long pid)
{
	return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

enum gap gaps_of_python(int fd, const struct file *file, bool created)
{
	long recorded = gaps_read_pid(fd);

	overtaken_pid = recorded;
	// Ours leave nothing in a file that they delete which Python would take over, save when they are killed at that moment.
	if (!is_at_path(file))
		return created || is_pythons(fd) || file->size == 0 || was_killed(tally, recorded, -1) ? DEAD_FILE : NO_GAP;
	if (created && file->size > 0)
		return OVERTAKEN;
	if (!set_byte(oracle, AMONG_PEERS, F_WRLCK))
		return OTHER_PEER;
	if (!await_settled(oracle))
		return NO_GAP;
	if (tally->kind != EXLOCK)
		return OTHER_PEER;
	if (!is_same_file(tally->inode, tally->version, file))
		return is_ending() ? LAST_INSTANT : NO_GAP;
	return tally->unrecorded || is_relative(recorded) || has_robbed(recorded) ? UNSEEN : NO_GAP;
}

// With the flock on FILE. From here no Python program can delete it.
static enum gap flock_gap(const struct file *file)
{
	return !set_byte(oracle, AMONG_PEERS, F_WRLCK) ? OTHER_PEER : is_at_path(file) ? NO_GAP : DEAD_FILE;
}

void gaps_check_flock(const struct file *file)
{
	enum gap gap = flock_gap(file);

	if (gap != NO_GAP)
		gaps_withdraw(gap);
}

// A program that calls exec while a worker has the flock, or a flock(1) in that very instant, for long, goes on without it and says so
// in the file's mode: from then on its PID alone holds the lock.
static bool went_on_without_flock(void)
{
	struct file file;

	return tally->execed && find_file(AT_FDCWD, lock_path, &file) && (file.mode & S_IXUSR) &&
	       is_same_file(tally->inode, tally->version, &file);
}

// The oracle is another's.
static enum gap gap_beside(enum kind kind, const struct file *file)
{
	// Ours delete a file that somebody has the flock of: never. Python does.
	if (kind == FLOCK && tally_deleted(tally, file))
		return DEAD_FILE;
	if (tally->kind != EXLOCK)
		return OTHER_PEER;
	if (kind == PYTHON && tally->unrecorded)
		return UNSEEN;
	if (kind == FLOCK && (tally->pid_alone || went_on_without_flock()))
		return UNSEEN;
	if (is_ending() && (kind == FLOCK || !is_same_file(tally->inode, tally->version, file) || was_killed(tally, overtaken_pid, -1)))
		return LAST_INSTANT;
	return NO_GAP;
}

__attribute__((noreturn)) static void overlap(enum kind kind, const struct file *file)
{
	fprintf(stderr, "overlap: %s %ld got in beside %ld, step %d%s%s%s%s; its file: %lu, ours: %lu%s, which named %ld%s\n",
		kind == PYTHON ? "Python" : "flock(1)", (long)getpid(), (long)tally->winner, tally->step,
		tally->daemon ? ", daemon" : "", tally->unrecorded ? ", unrecorded" : "", is_ending() ? ", ending" : "",
		tally->pid_alone ? ", by PID alone" : "", (unsigned long)tally->inode, (unsigned long)file->inode,
		is_at_path(file) ? "" : ", deleted", overtaken_pid, is_relative(overtaken_pid) ? ", a relative" : "");
	tally->overlaps++;
	_exit(OVERLAPPED);
}

// Waits for the end of whoever is ending; from then on this peer is alone.
static void outlast(enum kind kind, const struct file *file)
{
	double end = now() + LAST_INSTANT_AT_MOST;

	tally->gaps[LAST_INSTANT]++;
	while (!take_oracle_now(oracle)) {
		if (tally->kind != EXLOCK)
			gaps_withdraw(OTHER_PEER);
		if (now() > end)
			overlap(kind, file);
		usleep(LOOK_AGAIN);
	}
}

void gaps_enter(enum kind kind, int slot, const struct file *file)
{
	for (int look = 0; !take_oracle_now(oracle); look++) {
		enum gap gap;

		// Who was in has gone; perhaps killed before the tally told of it.
		if (!await_settled(oracle))
			continue;
		gap = gap_beside(kind, file);
		if (gap == LAST_INSTANT) {
			outlast(kind, file);
			break;
		}
		if (look >= 2 && gap == NO_GAP)
			overlap(kind, file);
		if (look >= 2)
			gaps_withdraw(gap);
		usleep(LOOK_AGAIN);
	}
	get_in(tally, oracle, kind, slot, file, true);
	win(tally, slot);
}

void gaps_get_out(bool deletes)
{
	struct file file;

	if (deletes && find_file(AT_FDCWD, lock_path, &file))
		tell_deletion(tally, &file);
	leave_oracle(oracle);
}

void gaps_let_peers_in(void)
{
	(void)set_byte(oracle, AMONG_PEERS, F_UNLCK);
}
