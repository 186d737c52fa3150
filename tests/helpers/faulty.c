// SPDX-License-Identifier: MIT
// faulty FOLDER SHIM HOP SITUATION [all]: runs the program "subject", which is next to this one, once as it is, and then once
// for every fault of every system call that the code under test was seen to make. Prints what was wrong, and a summary.
// 0 only if nothing was; 88: it cannot trace here. Without "all" every other call has one or two of its errors, others
// in every situation.
#define _GNU_SOURCE
#include "faulty.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS = 4, CANNOT_TRACE = 88, FIRST_OF_MANY = 10, LAST_OF_MANY = 4, ERRORS_EACH = 1, FAULTS_MAX = 100000 };

#define RUN_ANYWAY { "EXCLUSIVELOCK_ON_ERROR", "run" }
#define TREE { "EXCLUSIVELOCK_SCOPE", "tree" }
#define WAIT(seconds) { "EXCLUSIVELOCK_ON_HELD", "wait" }, { "EXCLUSIVELOCK_TIMEOUT", seconds }

const struct situation situations[] = {
	{ .name = "fresh", .action = "run", .images = 1 },
	{ .name = "stale", .action = "run", .images = 1, .file = FILE_STALE },
	{ .name = "foreign", .action = "run", .images = 1, .file = FILE_FOREIGN, .slow = true },
	{ .name = "derived", .action = "run", .images = 1, .derived = true, .logs = true, .environment = { { "EXCLUSIVELOCK_BY", "args" } } },
	{ .name = "unguarded", .action = "run", .images = 1, .environment = { RUN_ANYWAY } },
	{ .name = "tree", .action = "run", .images = 1, .environment = { TREE } },
	{ .name = "held", .action = "run", .images = 1, .holder = HOLDER_SHIM },
	{ .name = "held-by-record", .action = "run", .images = 1, .holder = HOLDER_RECORD },
	{ .name = "held-by-daemon", .action = "run", .images = 1, .holder = HOLDER_DAEMON, .slow = true },
	{ .name = "held-by-peer", .action = "run", .images = 1, .holder = HOLDER_PEER },
	{ .name = "held-unguarded", .action = "run", .images = 1, .holder = HOLDER_RECORD, .environment = { RUN_ANYWAY } },
	{ .name = "held-flagged", .action = "run", .images = 1, .holder = HOLDER_SHIM, .environment = { { "EXCLUSIVELOCK_ON_HELD", "flag" } } },
	{ .name = "timeout", .action = "run", .images = 1, .holder = HOLDER_SHIM, .environment = { WAIT("0.02") } },
	{ .name = "timeout-record", .action = "run", .images = 1, .holder = HOLDER_RECORD, .environment = { WAIT("0.02") } },
	{ .name = "dying", .action = "run", .images = 1, .holder = HOLDER_DYING, .environment = { WAIT("0.02") }, .slow = true },
	{ .name = "dying-turn", .action = "run", .images = 1, .holder = HOLDER_DYING, .gets_turn = true, .environment = { WAIT("0.5") } },
	{ .name = "turn", .action = "run", .images = 1, .holder = HOLDER_SHIM, .gets_turn = true, .environment = { WAIT("0.5") } },
	{ .name = "turn-record", .action = "run", .images = 1, .holder = HOLDER_RECORD, .gets_turn = true, .environment = { WAIT("0.5") } },
	{ .name = "descendant", .action = "child", .process = 1, .images = 1, .descendant = true },
	{ .name = "descendant-lost", .action = "lost", .process = 1, .images = 1, .descendant = true },
	{ .name = "descendant-tree", .action = "child", .process = 1, .images = 1, .descendant = true, .environment = { TREE } },
	{ .name = "waiter", .action = "run", .images = 1, .waiter = true },
	{ .name = "no-input", .action = "run", .images = 1, .no_input = true },
	{ .name = "worker", .action = "worker", .process = 1 },
	{ .name = "leave", .action = "leave", .images = 1 },
	{ .name = "last", .action = "last", .process = 1, .slow = true },
	{ .name = "exec", .action = "again", .images = 2 },
	{ .name = "exec-tree", .action = "again", .images = 2, .environment = { TREE } },
	{ .name = "hop", .action = "run", .start = START_HOP, .images = 1 },
	{ .name = "hop-bare", .action = "run", .start = START_HOP_BARE, .images = 1 },
	{ .name = "hop-held", .action = "run", .start = START_HOP, .images = 1, .holder = HOLDER_SHIM },
	{ .name = NULL },
};

static struct fault *faults;
static int fault_count;

static void plan(enum fault_kind kind, long number, int occurrence, bool lasting, int value)
{
	if (fault_count < FAULTS_MAX)
		faults[fault_count++] = (struct fault){ kind, number, occurrence, lasting, value };
}

static bool is_alone(const struct situation *situation)
{
	return situation->holder == HOLDER_NONE && !situation->waiter && !situation->descendant;
}

static void plan_errors(long number, int occurrence, int turn, bool all)
{
	const int *errors = errors_of(number);
	int count = 0;

	while (errors[count])
		count++;
	for (int i = 0; i < count; i++) {
		if (all || (i + turn) % count < ERRORS_EACH)
			plan(FAULT_ERROR, number, occurrence, false, errors[i]);
		// What is interrupted is what is most likely to be tried again for ever.
		if (all || (i + turn) % count == ERRORS_EACH || errors[i] == EINTR)
			plan(FAULT_ERROR, number, occurrence, true, errors[i]);
	}
	for (int i = 0; errors_moves_bytes(number) && i < 4; i++)
		if (all || i == 1 || i == turn % 4)
			plan(FAULT_SHORT, number, occurrence, i / 2, i % 2);
}

// What can become of the OCCURRENCE-th call of NUMBER. TURN goes through all of it where there is no time for everything.
static void plan_call(const struct situation *situation, long number, int occurrence, int turn, bool all)
{
	int before = fault_count;

	plan_errors(number, occurrence, turn, all);
	if (all || turn % 2)
		plan(FAULT_KILL, number, occurrence, false, 0);
	if (all || turn % 2 == 0)
		plan(FAULT_KILL_AFTER, number, occurrence, false, 0);
	if (is_alone(situation) && (all || turn % 2))
		plan(FAULT_STALL, number, occurrence, false, 0);
	if (is_alone(situation) && (all || turn % 2 == 0))
		plan(FAULT_KILL_RIVAL, number, occurrence, false, 0);
	if (situation->slow && !all) {
		faults[before] = faults[before + turn % (fault_count - before)];
		fault_count = before + 1;
	}
}

static int count_of(const struct trace *trace, long number, int end)
{
	int count = 0;

	for (int i = 0; i < end; i++)
		count += trace->calls[i] == number;
	return count;
}

static void plan_all(const struct situation *situation, const struct trace *trace, bool all)
{
	for (int i = 0; i < trace->count; i++) {
		long number = trace->calls[i];
		int occurrence = count_of(trace, number, i) + 1, total = count_of(trace, number, trace->count);
		int turn = i + (int)(situation - situations);

		// Situations have much in common: half of the calls of each, and the other half of the next one's.
		if (!all && turn % 2)
			continue;
		// The others are looks at more processes, or the same look again.
		if (occurrence <= FIRST_OF_MANY || occurrence > total - LAST_OF_MANY)
			plan_call(situation, number, occurrence, all ? turn : turn / 2, all);
	}
}

static void describe(const struct situation *situation, const struct trace *trace, const char *wrong, const char *words)
{
	static const char *const kinds[] = { "as it is", "", "", "killed before", "killed after", "killed before, a waiter", "stalled" };
	const struct fault *fault = &trace->fault;
	char name[24];

	printf("%s: %s %d %s%s", situation->name, errors_call_name(fault->number, name), fault->occurrence, kinds[fault->kind],
	       fault->lasting ? "from here on " : "");
	if (fault->kind == FAULT_ERROR)
		printf("%s", errors_name(fault->value));
	else if (fault->kind == FAULT_SHORT)
		printf("short, to %d", fault->value);
	printf(": %s; status %s%d; said: %s\n", wrong, WIFSIGNALED(trace->status) ? "signal " : "",
	       WIFSIGNALED(trace->status) ? WTERMSIG(trace->status) : WEXITSTATUS(trace->status), *words ? words : "nothing");
	fflush(stdout);
}

static struct trace trace;
static struct run run = { .trace = &trace };
static struct place place;

static bool try(const struct fault *fault)
{
	char words[4096];
	const char *wrong;

	trace = (struct trace){ .fault = *fault, .process = run.situation->process, .images = run.situation->images };
	wrong = run_once(&run, words);
	if (wrong)
		describe(run.situation, &trace, wrong, words);
	return !wrong;
}

// Everything is in a folder of its own, and left children are ours.
static void prepare(char job)
{
	char *folder;

	if (asprintf(&folder, "%s/%c", place.folder, job) < 0 || mkdir(folder, 0755) < 0)
		_exit(255);
	place.folder = folder;
	run.place = &place;
	start_prepare(&run);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

// One of the jobs: every JOBS-th fault, in a folder of its own.
static int work(int job)
{
	int bad = 0;

	prepare((char)('0' + job));
	for (int i = job; i < fault_count; i += JOBS)
		bad += !try(&faults[i]);
	return bad < 255 ? bad : 254;
}

static int work_in_parallel(void)
{
	int status, bad = 0;

	for (int job = 0; job < JOBS; job++)
		if (fork() == 0)
			_exit(work(job));
	while (wait(&status) > 0)
		bad += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	return bad;
}

static const struct situation *find(const char *name)
{
	for (const struct situation *situation = situations; situation->name; situation++)
		if (strcmp(situation->name, name) == 0)
			return situation;
	return NULL;
}

int main(int argc, char **argv)
{
	static char subject[PATHS_MAX];
	const char *folder = argc > 4 ? argv[1] : "";
	int bad;

	if (argc < 5 || !(run.situation = find(argv[4])) || readlink("/proc/self/exe", subject, sizeof subject - 1) < 0) {
		fprintf(stderr, "usage: faulty FOLDER SHIM HOP SITUATION [all]\n");
		return BROKEN;
	}
	strcpy(strrchr(subject, '/'), "/subject");
	place = (struct place){ folder, argv[2], argv[3], subject };
	faults = calloc(FAULTS_MAX, sizeof *faults);
	if (!faults)
		return BROKEN;
	if (!trace_works())
		return CANNOT_TRACE;
	prepare('a');
	bad = !try(&(struct fault){ .kind = FAULT_NONE });
	plan_all(run.situation, &trace, argc > 5);
	place.folder = folder;
	bad += work_in_parallel();
	printf("%s: %d calls, %d faults, %d wrong\n", run.situation->name, trace.count, fault_count, bad);
	return bad != 0;
}
