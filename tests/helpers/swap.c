// SPDX-License-Identifier: MIT
// An attack between any two calls. Runs a victim under ptrace, and before its Nth system call that the library makes lets another
// user do something in the lock directory: once for every N there is. Says how many runs ended how.
//
//   swap LIBRARY LOCK LAIR SECRET START UID ATTACK[@CALL] PROGRAM [ARG...]
//
// START is what is in LOCK's place before: none, mine (the attacker's stale file) or root (root's). LAIR is a folder that the attacker
// may write to; SECRET a file that must not change. PROGRAM runs as UID with LIBRARY preloaded, writes to its standard output, and
// ends with 7. With a CALL (pread64, never) there is one run, with an attack before each such call.
#define _GNU_SOURCE
#include "swapattack.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ATTACKER = 65533, RAN = 7, REFUSED = 1, ERROR = 125, STUCK = 120, EVERY = 6 };

static struct scene scene;
static const char *library, *start;
static uid_t victim_uid;
static char **program;

// One run of the victim.
struct victim {
	pid_t pid;
	unsigned long code, code_end;	// of the library
	unsigned long long proc_files;	// descriptors that are open on files in /proc, one bit each
	int opens_proc;
	int calls;
	int entered;
};

static void become(uid_t uid)
{
	if (uid != 0 && (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
		_exit(99);
}

static void attack(const char *what)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		become(ATTACKER);
		_exit(swapattack_do(&scene, what) != 0);
	}
	waitpid(child, &status, 0);
	if (status != 0)
		exit(3);
}

static pid_t launch(int traced)
{
	pid_t child = fork();
	int null;

	if (child != 0)
		return child;
	become(victim_uid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_RDWR);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	setenv("LD_PRELOAD", library, 1);
	if (traced)
		ptrace(PTRACE_TRACEME, 0, 0, 0);
	execv(program[0], program);
	_exit(98);
}

static void find_library(struct victim *victim)
{
	char line[512];
	FILE *maps;

	snprintf(line, sizeof(line), "/proc/%ld/maps", (long)victim->pid);
	maps = fopen(line, "re");
	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, library) && strstr(line, "r-xp"))
			sscanf(line, "%lx-%lx", &victim->code, &victim->code_end);
	if (maps)
		fclose(maps);
}

static int is_proc_path(const struct victim *victim, unsigned long address)
{
	long word = ptrace(PTRACE_PEEKDATA, victim->pid, address, 0);

	return memcmp(&word, "/proc", 5) == 0;
}

// Whether the call that is about to be made is one of the library's that something in the lock directory can matter to. It may
// read hundreds of files in /proc.
static int is_target(struct victim *victim, const struct __ptrace_syscall_info *call)
{
	unsigned long fd = call->entry.args[0];

	victim->opens_proc = call->entry.nr == SYS_openat && is_proc_path(victim, call->entry.args[1]);
	if (victim->opens_proc || call->entry.nr == SYS_getpid)
		return 0;
	if (victim->proc_files == 0)
		return 1;
	if (call->entry.nr == SYS_close && fd < 64)
		victim->proc_files &= ~(1ull << fd);
	return 0;
}

// The program itself runs, and is stopped. Where the file is not the attacker's to take away, a second start has to be refused.
static int check_exclusive(struct victim *victim, int at)
{
	struct stat status;
	int ended;

	if (victim->entered)
		return 1;
	victim->entered = 1;
	// A look now and then will do, unless there is time.
	if (at % EVERY != 1 && !getenv("EXLOCK_SWAPS"))
		return 1;
	if (lstat(scene.lock, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid == ATTACKER || status.st_nlink != 1)
		return 1;
	waitpid(launch(0), &ended, 0);
	return WIFEXITED(ended) && WEXITSTATUS(ended) == REFUSED;
}

// At a stop before or after a system call. Returns whether all is well.
static int step(struct victim *victim, const char *what, int at, long each)
{
	struct __ptrace_syscall_info call;

	ptrace(PTRACE_GET_SYSCALL_INFO, victim->pid, sizeof(call), &call);
	if (call.op == PTRACE_SYSCALL_INFO_EXIT && victim->opens_proc && call.exit.rval >= 0 && call.exit.rval < 64)
		victim->proc_files |= 1ull << call.exit.rval;
	if (call.op != PTRACE_SYSCALL_INFO_ENTRY)
		return 1;
	victim->opens_proc = 0;
	if (!victim->code)
		find_library(victim);
	if (call.instruction_pointer < victim->code || call.instruction_pointer >= victim->code_end)
		return call.entry.nr != SYS_write || call.entry.args[0] != STDOUT_FILENO || check_exclusive(victim, at);
	if (is_target(victim, &call) && (++victim->calls == at || (long)call.entry.nr == each))
		attack(what);
	return 1;
}

// Runs the victim with the attack before its call AT, or before each that has the number EACH. Returns its exit status; -1: it ended
// in another way, -2: a second one got in.
static int run(const char *what, int at, long each, int *calls)
{
	struct victim victim = { .pid = launch(1) };
	int status, exclusive = 1;

	waitpid(victim.pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, victim.pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	while (WIFSTOPPED(status)) {
		int signal = WSTOPSIG(status);

		if (signal == (SIGTRAP | 0x80))
			exclusive &= step(&victim, what, at, each);
		ptrace(PTRACE_SYSCALL, victim.pid, 0, (signal & ~0x80) == SIGTRAP ? 0 : signal);
		waitpid(victim.pid, &status, 0);
	}
	*calls = victim.calls;
	if (!exclusive)
		return -2;
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return victim.entered == (status == RAN) ? status : -1;
}

int main(int argc, char **argv)
{
	int at = 0, calls, counts[256] = { 0 };
	char *what, *call;

	if (argc < 9)
		return 2;
	library = argv[1];
	scene = swapattack_scene(argv[2], argv[3], argv[4]);
	start = argv[5];
	victim_uid = (uid_t)atoi(argv[6]);
	what = strtok(argv[7], "@");
	call = strtok(NULL, "@");
	program = argv + 8;
	do {
		int result;

		// A hang is a failure: who started us sees it, and the victim ends with us.
		alarm(STUCK);
		swapattack_prepare(&scene, start, ATTACKER);
		result = call ? run(what, -1, strcmp(call, "pread64") == 0 ? SYS_pread64 : -1, &calls) : run(what, ++at, -1, &calls);
		if ((result != RAN && result != REFUSED && result != ERROR) || !swapattack_is_unharmed(&scene)) {
			printf("%s before call %d, %s: %s %d\n", what, at, start,
			       swapattack_is_unharmed(&scene) ? "ended with" : "harmed the secret file, ended with", result);
			return 1;
		}
		counts[result]++;
	} while (!call && calls >= at);
	printf("%d ran, %d refused, %d errors\n", counts[RAN], counts[REFUSED], counts[ERROR]);
	return 0;
}
