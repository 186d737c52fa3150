// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "slots.h"

#include "gaps.h"
#include "peers.h"
#include "ways.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const uid_t OTHER_USER = 65534;
static const double BUDGET = 0.25;

// What is started in a slot, and by whom.
struct contender {
	enum kind kind;
	bool real;		// not our own imitation of a peer: slower to start
	bool other_user;
	struct way way;		// of ours
};

static struct contender choose(const struct storm *storm)
{
	struct contender contender = { .kind = EXLOCK, .other_user = storm->users && one_in(2) };
	long number = storm->peers ? random() % 100 : 0;

	contender.real = number >= 94;
	if (number >= 60)
		contender.kind = number < 76 || number >= 97 ? PYTHON : FLOCK;
	// Python's protocol has no meaning across PID namespaces: it knows PIDs alone, and sees none of the other one's.
	if (contender.kind == PYTHON && storm->tally->apart)
		contender.kind = FLOCK;
	if (contender.kind == EXLOCK)
		contender.way = ways_choose(storm);
	return contender;
}

static void become_other_user(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(OTHER_USER, OTHER_USER, OTHER_USER) < 0 ||
	    setresuid(OTHER_USER, OTHER_USER, OTHER_USER) < 0)
		_exit(BROKEN);
}

// The process is in it once it has called exec (since Linux 6.1; fs/exec.c, exec_task_namespaces). There /proc shows every start time
// shifted.
static void enter_another_time(void)
{
	static const char offset[] = "boottime 100000 0";
	int fd;

	if (unshare(CLONE_NEWTIME) < 0 || (fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC)) < 0 ||
	    write(fd, offset, sizeof offset - 1) < 0)
		_exit(BROKEN);
	close(fd);
}

__attribute__((noreturn)) static void become(const struct storm *storm, int slot, struct contender contender)
{
	char program[5000], number[24], seed[24];
	char *argv[] = { program, (char *)(intptr_t)storm->folder, number, seed, (char[]){ "-1" }, NULL };

	if (contender.kind == EXLOCK && storm->times && one_in(3))
		enter_another_time();
	if (contender.other_user)
		become_other_user();
	snprintf(number, sizeof number, "%d", slot);
	snprintf(seed, sizeof seed, "%ld", random());
	if (contender.kind != EXLOCK)
		gaps_prepare(storm->tally, storm->folder, storm->lock_path);
	snprintf(program, sizeof program, "%s/%s%s", storm->place, contender.kind == EXLOCK ? "victim" : "storm",
		contender.way.image == STATIC ? "-static" : "");
	if (contender.kind == FLOCK && contender.real)
		peers_exec_flock(storm->lock_path, program, storm->folder, slot);
	if (contender.kind == FLOCK)
		peers_run_flock(storm->tally, storm->lock_path, slot);
	if (contender.kind == PYTHON && contender.real) {
		snprintf(program, sizeof program, "%s/contender.py", storm->place);
		peers_attend_python(storm->tally, program, slot);
	}
	if (contender.kind == PYTHON)
		peers_run_python(storm->tally, storm->lock_path, slot);
	ways_become(storm, contender.way, slot, argv);
}

// Starts CONTENDER, which waits until the gate, if there is one, is closed.
static pid_t start(const struct storm *storm, int slot, struct contender contender, const int *gate)
{
	pid_t child;
	char byte;

	storm->tally->won[slot] = false;
	storm->tally->left_at[slot] = 0;
	storm->tally->started_at[slot] = now_us();
	storm->tally->launches++;
	(void)random();
	child = fork();
	if (child < 0)
		_exit(BROKEN);
	storm->tally->started[slot] = child > 0 ? child : getpid();
	if (child > 0)
		return child;
	srandom((unsigned)random() ^ (unsigned)getpid());
	if (gate) {
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 0)
			_exit(BROKEN);
		close(gate[0]);
	}
	become(storm, slot, contender);
}

static void wrong(const struct storm *storm, const char *what, int status)
{
	fprintf(stderr, "error: %s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	storm->tally->errors++;
}

// A real flock(1) tells of a signal by its status, as a shell does, and of a file that it may not open by 66.
static int code_of(int status, struct contender contender)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (contender.kind != FLOCK || !contender.real)
		return code;
	return code == 66 ? DENIED : code == 128 + SIGKILL ? 0 : code;
}

// The start in SLOT has ended by itself.
static void note_times(struct tally *tally, int slot, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
		note_time(&tally->longest_start, tally->started_at[slot]);
	if (tally->left_at[slot] != 0)
		note_time(&tally->longest_end, tally->left_at[slot]);
}

// How a start that has ended may have ended. What it has left behind is judged in await_all.
static void judge(const struct storm *storm, int slot, struct contender contender, int status, bool killed)
{
	struct tally *tally = storm->tally;
	bool won = tally->won[slot];
	int code = code_of(status, contender), signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (killed && signal == SIGKILL)
		tally->kills++;
	else if (storm->replaces && signal == SIGTERM)
		tally->replaced++;
	else if (contender.way.replaces && !won && code == UNREPLACED)
		tally->unreplaced++;
	else if (won && (code == 0 || signal == SIGKILL || signal == SIGABRT))
		return;
	else if (!won && code == REFUSED && storm->waiting && contender.kind == EXLOCK)
		tally->lost++;
	else if (!won && code == REFUSED)
		tally->refusals++;
	else if (!won && code == DENIED && storm->users && contender.kind != EXLOCK)
		tally->denials++;
	else if (code != OVERLAPPED && code != WITHDRAWN)
		wrong(storm, won ? "a start that had won" : "a start that had not won", status);
}

// Waits until no process is left here: daemons and orphans are handed to this one, their reaper.
static void await_all(const struct storm *storm)
{
	int status;

	while (wait(&status) > 0) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

		if (code != 0 && (code < REFUSED || code > WITHDRAWN) && code != OVERLAPPED && signal != SIGKILL && signal != SIGABRT &&
		    !(storm->replaces && signal == SIGTERM))
			wrong(storm, "a process that was left behind", status);
	}
}

static void note(struct tally *tally, double began, int status, struct contender contender)
{
	int code = code_of(status, contender);
	unsigned index;

	// Python is refused by a PID that is another process' by now, too, and flock(1) by one of ours that only looks.
	if (!tally->calm || code == DENIED || (contender.kind != EXLOCK && code == REFUSED))
		return;
	index = tally->attempts++;
	if (index < ATTEMPTS)
		tally->attempt[index] = (struct attempt){ .start = began, .end = now(), .refused = code == REFUSED };
}

void slots_check_refusals(const struct storm *storm)
{
	struct tally *tally = storm->tally;
	const struct attempt *all = tally->attempt, *one, *other, *end;

	end = all + (tally->attempts < ATTEMPTS ? tally->attempts : ATTEMPTS);
	for (one = all; one < end; one++) {
		for (other = all; other < end; other++)
			if (!other->refused && other->start <= one->end && other->end >= one->start)
				break;
		if (!one->refused || other < end)
			continue;
		// A monitor that reads a dying process' memory keeps its flock. Where not all processes can be seen, and a storm has a PID
		// namespace of its own, a start waits a quarter of a second for that, then it is refused.
		if (one->end - one->start >= BUDGET) {
			tally->gaps[PINNED]++;
			continue;
		}
		fprintf(stderr, "lost: refused while nobody else was about, for %.3f ms\n", (one->end - one->start) * 1e3);
		tally->lost++;
	}
	tally->attempts = 0;
}

// Often enough idle for a refusal without a holder to show.
static void pause_between(void)
{
	if (one_in(2))
		usleep((useconds_t)(random() % 20000));
}

__attribute__((noreturn)) static void run_slot(const struct storm *storm, int number, double until)
{
	struct tally *tally = storm->tally;

	srandom((unsigned)getpid() ^ (unsigned)(until * 1e3));
	while (now() < until) {
		struct contender contender = choose(storm);
		double began = now();
		pid_t child = start(storm, number, contender, NULL);
		bool kills = !tally->calm && one_in(3);
		int status;

		if (kills) {
			usleep((useconds_t)(random() % 3000) << (contender.real ? 4 : contender.way.nest != SINGLE ? 1 : 0));
			tell_kill(tally, child, number);
			kill(child, SIGKILL);
		}
		if (waitpid(child, &status, 0) != child)
			_exit(BROKEN);
		if (!kills && contender.kind == EXLOCK)
			note_times(tally, number, status);
		judge(storm, number, contender, status, kills);
		note(tally, began, status, contender);
		if (tally->calm)
			pause_between();
	}
	_exit(0);
}

static void read_all(long pid, const char *name)
{
	char path[64], buffer[4096];
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && read(fd, buffer, sizeof buffer) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static void read_memory_of(long pid)
{
	read_all(pid, "smaps_rollup");
	read_all(pid, "maps");
}

// Reads what keeps a dead process' memory for another instant, as top and its like do.
static pid_t start_monitor(const struct storm *storm, struct range range, const int *gate)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	if (gate) {
		close(gate[0]);
		close(gate[1]);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		for (int slot = range.first; slot < range.end; slot++) {
			read_memory_of(storm->tally->started[slot]);
			read_memory_of(storm->tally->relative[slot % RELATIVES]);
		}
}

void slots_run(const struct storm *storm, struct range range, double until)
{
	bool monitored = one_in(storm->tally->calm ? 2 : 4);
	pid_t child[SLOTS], monitor = 0;

	for (int i = range.first; i < range.end; i++) {
		child[i] = fork();
		if (child[i] < 0)
			_exit(BROKEN);
		if (child[i] == 0)
			run_slot(storm, i, until);
	}
	if (monitored)
		monitor = start_monitor(storm, range, NULL);
	for (int i = range.first; i < range.end; i++)
		if (waitpid(child[i], NULL, 0) != child[i])
			_exit(BROKEN);
	if (monitor > 0)
		kill(monitor, SIGKILL);
	await_all(storm);
}

void slots_start_at_once(const struct storm *storm, struct range range, const int gate[2])
{
	bool monitored = storm->tally->calm && one_in(2);
	struct contender contender[SLOTS];
	pid_t child[SLOTS], monitor = 0;
	int status;

	for (int i = range.first; i < range.end; i++) {
		contender[i] = choose(storm);
		if (i == 0)
			contender[i].kind = EXLOCK;
		child[i] = start(storm, i, contender[i], gate);
	}
	if (monitored)
		monitor = start_monitor(storm, range, gate);
	close(gate[0]);
	close(gate[1]);
	for (int i = range.first; i < range.end; i++) {
		if (waitpid(child[i], &status, 0) != child[i])
			_exit(BROKEN);
		judge(storm, i, contender[i], status, false);
	}
	if (monitor > 0)
		kill(monitor, SIGKILL);
	await_all(storm);
}
