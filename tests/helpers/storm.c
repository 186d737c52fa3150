// SPDX-License-Identifier: MIT
// storm FOLDER SHIM SECONDS [abort|wait] [process|tree]: starts the victim, which is next to this program, again and
// again in 8 slots under SHIM (empty: without) and kills some of them at any instant. After each round it waits until every process of
// the storm is gone: then one start must win, and of 8 at once one must. Prints one line; 0 only if nothing was wrong.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "storm.h"

static const double ROUND = 0.2;

static struct tally *tally;
static char victim[4096], *folder;
static char *environment[16];
static int waiting;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

__attribute__((format(printf, 2, 3))) static void put(const char *name, const char *format, ...)
{
	static int count;
	char value[4096];
	va_list values;

	va_start(values, format);
	vsnprintf(value, sizeof value, format, values);
	va_end(values);
	if (asprintf(&environment[count++], "%s=%s", name, value) < 0)
		exit(BROKEN);
}

static void set_environment(const char *shim, const char *on_held, const char *scope)
{
	put("LD_PRELOAD", "%s", shim);
	put("EXCLUSIVELOCK_NAME", "storm");
	put("EXCLUSIVELOCK_DIR", "%s/locks", folder);
	put("EXCLUSIVELOCK_EXIT_CODE", "%d", REFUSED);
	put("EXCLUSIVELOCK_QUIET", "1");
	put("EXCLUSIVELOCK_ON_HELD", "%s", on_held);
	put("EXCLUSIVELOCK_SCOPE", "%s", scope);
	if (waiting)
		put("EXCLUSIVELOCK_TIMEOUT", "30");
}

static void wrong(const char *what, int status)
{
	fprintf(stderr, "error: %s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	tally->errors++;
}

// Starts the victim, which waits until the gate, if there is one, is closed.
static pid_t start(int slot, const int *gate)
{
	char number[24], seed[24], byte;
	char *argv[] = { victim, folder, number, seed, "-1", NULL };
	pid_t child;

	snprintf(number, sizeof number, "%d", slot);
	snprintf(seed, sizeof seed, "%ld", random());
	tally->won[slot] = false;
	tally->launches++;
	child = fork();
	if (child < 0)
		_exit(BROKEN);
	if (child > 0)
		return child;
	if (gate) {
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 0)
			_exit(BROKEN);
		close(gate[0]);
	}
	execve(victim, argv, environment);
	_exit(BROKEN);
}

// How a start that has ended may have ended. What it has left behind is judged in await_all.
static void judge(int slot, int status, int killed)
{
	bool won = tally->won[slot];
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (killed && signal == SIGKILL)
		tally->kills++;
	else if (won && (code == 0 || signal == SIGKILL || signal == SIGABRT))
		return;
	else if (!won && code == REFUSED && waiting)
		tally->lost++;
	else if (!won && code == REFUSED)
		tally->refusals++;
	else if (code != OVERLAPPED)
		wrong(won ? "a start that had won" : "a start that had not won", status);
}

// One slot: one start after the other; every third is killed at a random instant, also before its main.
static void slot(int number, double until)
{
	srandom((unsigned)getpid());
	while (now() < until) {
		pid_t child = start(number, NULL);
		int kills = random() % 3 == 0, status;

		if (kills) {
			usleep((useconds_t)(random() % 3000));
			kill(child, SIGKILL);
		}
		if (waitpid(child, &status, 0) != child)
			_exit(BROKEN);
		judge(number, status, kills);
	}
	_exit(0);
}

// Waits until no process of the storm is left: daemons and orphans are handed to this one, their reaper.
static void await_all(void)
{
	int status;

	while (wait(&status) > 0) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

		if (code != 0 && code != REFUSED && code != OVERLAPPED && signal != SIGKILL && signal != SIGABRT)
			wrong("a process that was left behind", status);
	}
}

// COUNT starts at the same moment, at a free lock: one at least must win.
static void start_at_free_lock(int count)
{
	pid_t child[SLOTS];
	int gate[2], status, won = 0;

	if (pipe2(gate, O_CLOEXEC) < 0)
		exit(BROKEN);
	for (int i = 0; i < count; i++)
		child[i] = start(i, gate);
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		if (waitpid(child[i], &status, 0) != child[i])
			exit(BROKEN);
		judge(i, status, 0);
		won += tally->won[i];
	}
	if (won == 0) {
		fprintf(stderr, "lost: the lock was free, and none of %d got it\n", count);
		tally->lost++;
	}
	await_all();
}

static void round_of_storm(void)
{
	double until = now() + ROUND;

	for (int i = 0; i < SLOTS; i++) {
		pid_t child = fork();

		if (child < 0)
			exit(BROKEN);
		if (child == 0)
			slot(i, until);
	}
	await_all();
	start_at_free_lock(1);
	start_at_free_lock(SLOTS);
}

static int files_left(void)
{
	char path[4096];
	struct dirent *entry;
	int count = 0;
	DIR *locks;

	snprintf(path, sizeof path, "%s/locks", folder);
	locks = opendir(path);
	if (!locks)
		exit(BROKEN);
	while ((entry = readdir(locks)))
		count += entry->d_name[0] != '.';
	closedir(locks);
	return count;
}

// A storm that hangs fails; its processes are of one group.
static void give_up(int signal)
{
	static const char words[] = "storm: something hangs\n";

	(void)signal;
	if (write(STDERR_FILENO, words, sizeof words - 1) > 0)
		kill(0, SIGKILL);
	_exit(BROKEN);
}

static void prepare(int seconds)
{
	// 1: no core file, and no core handler on a pipe either.
	const struct rlimit no_core = { 1, 1 };
	char path[4096];

	if (readlink("/proc/self/exe", victim, sizeof victim - 1) < 0)
		exit(BROKEN);
	strcpy(strrchr(victim, '/'), "/victim");
	snprintf(path, sizeof path, "%s/locks", folder);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		exit(BROKEN);
	tally = map_tally(folder);
	setrlimit(RLIMIT_CORE, &no_core);
	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_TIMERSLACK, 1);
	srandom((unsigned)time(NULL) ^ (unsigned)getpid());
	signal(SIGALRM, give_up);
	alarm((unsigned)seconds * 4 + 60);
}

int main(int argc, char **argv)
{
	int seconds = argc > 3 ? atoi(argv[3]) : 0, left;
	double until;

	if (seconds <= 0 || argc > 6) {
		fprintf(stderr, "usage: storm FOLDER SHIM SECONDS [abort|wait] [process|tree]\n");
		return BROKEN;
	}
	folder = argv[1];
	waiting = argc > 4 && strcmp(argv[4], "wait") == 0;
	prepare(seconds);
	set_environment(argv[2], argc > 4 ? argv[4] : "abort", argc > 5 ? argv[5] : "process");
	for (until = now() + seconds; now() < until;)
		round_of_storm();
	left = files_left();
	printf("storm: %lu launches, %lu wins, %lu refusals, %lu kills, %lu overlaps, %lu errors, %lu lost, %d files left\n",
		tally->launches, tally->wins, tally->refusals, tally->kills, tally->overlaps, tally->errors, tally->lost, left);
	return tally->overlaps || tally->errors || tally->lost || left > 1 || tally->wins < 10UL * (unsigned)seconds;
}
