// SPDX-License-Identifier: MIT
// victim FOLDER SLOT SEED ORACLE: what the storm starts again and again. It takes a lock of its own, the oracle, without
// waiting: failing to get it means that two run at once. Then it lives for an instant and ends in one of many ways.
// ORACLE is the descriptor of the oracle where a former image has it already, or -1. SLOT is -1 in a child that was
// started by a victim. The oracle is kept through fork and exec and let go by the kernel, as late as it can be.
// STORM_HANDED in the environment: exlock-launch has left the lock's descriptor open for this image, which loads no library.
// STORM_HEIR: this is a successor, started by the holder with the holder's own command line; the value is its oracle.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "entrance.h"

enum { MAX_WORKERS = 3 };

static struct tally *tally;
static char **arguments;
static int slot, oracle, tree;
static int is_static, is_shimmed;
static int is_handed;			// it has the lock's descriptor, and a fork of it has it, too
static int is_heir;			// it has nothing but its PID in the record
static int is_innermost;		// the storm's lock is, and is handed on
static int has_heir;
static int is_handed_heir;		// it has nothing but the descriptor: the record names somebody who is gone
static pid_t daemons_parent;
static pid_t worker[MAX_WORKERS];
static long worker_count;
static long family;			// whose oracle it is: who took the lock

// Done here or by a second thread, at random: threads let go of memory and descriptors in any order.
static void from_any_thread(void *(*function)(void *))
{
	pthread_t second;

	tally->second_thread = one_in(3);
	if (tally->second_thread && pthread_create(&second, NULL, function, NULL) == 0)
		pthread_join(second, NULL);
	function(NULL);
}

// Only the process that has the lock says where it is; the children that it has left behind are silent.
static void at(enum step step)
{
	if (tally->winner == getpid())
		tally->step = (int)step;
}

__attribute__((noreturn)) static void become(const char *suffix, int its_slot, int kept)
{
	char image[4096], number[24], seed[24], descriptor[24];
	char *argv[] = { image, arguments[1], number, seed, descriptor, NULL };
	char *twin = strstr(arguments[0], "-static");

	snprintf(image, sizeof image, "%.*s%s", (int)(twin ? twin - arguments[0] : 4000), arguments[0], suffix);
	snprintf(number, sizeof number, "%d", its_slot);
	snprintf(seed, sizeof seed, "%ld", random());
	snprintf(descriptor, sizeof descriptor, "%d", kept);
	execv(image, argv);
	_exit(BROKEN);
}

// A late one is not to be told as another family's.
static void join_family(void)
{
	if (tally->relative[0] == family)
		add_relative(tally, getpid());
}

// A child by exec does not hold the lock, so no more does it hold the oracle. Save in scope "tree", and where it inherits the descriptor
// and loads no library that would close it.
__attribute__((noreturn)) static void become_command(void)
{
	const char *suffix = one_in(2) ? "-static" : "", *preload = getenv("LD_PRELOAD");
	bool keeps = tree || (is_handed && (*suffix || !preload || !*preload));

	if (!keeps)
		close(oracle);
	linger();
	become(suffix, -1, keeps ? oracle : -1);
}

static void command(void)
{
	if (fork() != 0)
		return;
	srandom((unsigned)getpid());
	// Asleep, it may be taken for one that stays, and be recorded.
	join_family();
	become_command();
}

// The kernel closes them before the oracle, and that takes it a while: whatever is let go too early shows.
static void open_many(void)
{
	int ends[2];

	for (long count = random() % 200; count > 0 && pipe2(ends, O_CLOEXEC) == 0; count--)
		;
}

static void close_all(void)
{
	if (oracle > 0)
		close_range(0, (unsigned)oracle - 1, 0);
	close_range((unsigned)oracle + 1, ~0U, 0);
	if (is_handed)
		tally->pid_alone = true;
	is_handed = 0;
	unsetenv("STORM_HANDED");
}

static void kill_workers(void)
{
	while (worker_count > 0)
		if (worker[--worker_count] > 0 && one_in(3))
			kill(worker[worker_count], SIGKILL);
}

__attribute__((noreturn)) static void *leave(void *unused)
{
	// Killed, or by abort, it leaves the lock to nobody.
	enum step last = has_heir ? QUICK_EXIT : SIGKILLED;
	enum step step = EXIT + (enum step)(random() % (last - EXIT + 1));

	(void)unused;
	kill_workers();
	at(step);
	if (has_heir && !tree && !is_handed)
		tally->pid_alone = true;
	tally->ending = true;
	if (slot >= 0 && (step == EXIT || step == QUICK_EXIT) && tally->started[slot] == getpid())
		tally->left_at[slot] = now_us();
	switch (step) {
	case RAW_EXIT:
		_exit(0);
	case CAPITAL_EXIT:
		_Exit(0);
	case QUICK_EXIT:
		quick_exit(0);
	case ABORT:
		abort();
	case SIGKILLED:
		kill(getpid(), SIGKILL);
		pause();
		/* fall through */
	default:
		exit(0);
	}
}

static void *stay(void *unused)
{
	pause();
	return unused;
}

// They leave by themselves, unless the holder kills them before it leaves. With a second thread, or while somebody reads its
// maps, a process may lose the flock before its other files.
static void workers(void)
{
	long count = 1 + random() % MAX_WORKERS;

	while (worker_count < count) {
		pthread_t second;
		pid_t child = fork();

		worker[worker_count++] = child;
		if (child != 0)
			continue;
		srandom((unsigned)getpid());
		join_family();
		if (one_in(3))
			(void)pthread_create(&second, NULL, stay, NULL);
		linger();
		exit(0);
	}
}

// The parent leaves at once, by exit or by _exit.
static void go_into_background(enum step step)
{
	pid_t child;

	daemons_parent = getpid();
	child = fork();
	if (child < 0)
		_exit(BROKEN);
	if (child != 0 && step == DAEMON_EXIT)
		exit(0);
	if (child != 0)
		_exit(0);
	setsid();
	join_family();
	tally->winner = getpid();
	tally->daemon = true;
}

// Whether the lock file's mode says already that somebody goes on without the flock (RECORD_HINT_MAPPED).
static bool has_hint(void)
{
	const char *path = getenv("EXCLUSIVELOCK_LOCKFILE");
	struct file file;

	return path && find_file(AT_FDCWD, path, &file) && (file.mode & S_IXUSR);
}

static void *become_another(void *unused)
{
	int twin = one_in(2);

	(void)unused;
	at(twin ? EXEC_TWIN : EXEC_ITSELF);
	tally->execed = tally->execed || !has_hint();
	// A descriptor that exec leaves open keeps the flock.
	tally->pid_alone = is_heir || (!tree && !tally->unrecorded && !is_handed);
	become(twin ? "-static" : "", slot, oracle);
	return NULL;
}

// As a server does that is to become its next version: starts its own copy, by the same command line, and leaves.
static void start_heir(void)
{
	char kept[48];
	pid_t child;

	// A daemon that leaves before its parent is nobody's heir.
	while (daemons_parent > 0 && getppid() == daemons_parent)
		usleep(20);
	at(SUCCESSOR);
	snprintf(kept, sizeof kept, "%d.%ld", oracle, (long)getpid());
	// In a tree, and by the descriptor, the copy has the lock whatever comes.
	if (!tree && !is_handed)
		tally->predecessor = getpid();
	tally->successions++;
	has_heir = 1;
	child = fork();
	if (child < 0)
		_exit(BROKEN);
	if (child > 0)
		return;
	join_family();
	if (setenv("STORM_HEIR", kept, 1) < 0)
		_exit(BROKEN);
	if (one_in(2))
		setsid();
	if (one_in(2))
		linger();
	execv(arguments[0], arguments);
	_exit(BROKEN);
}

// The lock is another's until that one has gone; and nobody's if it was killed.
static void inherit(const char *kept)
{
	long predecessor;

	if (sscanf(kept, "%d.%ld", &oracle, &predecessor) != 2)
		_exit(BROKEN);
	unsetenv("STORM_HEIR");
	// With the same command line it would do the same again, for ever.
	srandom((unsigned)getpid());
	family = tally->relative[0];
	join_family();
	while (getppid() == predecessor)
		usleep(20);
	if (was_killed(tally, predecessor, tally->slot))
		_exit(0);
	is_heir = !tree && !is_handed;
	is_handed_heir = is_handed;
	tally->winner = getpid();
	tally->pid_alone = is_heir;
	tally->ending = false;
}

static void live(void)	// NOLINT(readability-function-cognitive-complexity,readability-function-size): one draw after the other
{
	// PIDs are not compared across PID namespaces, and between two images nothing else holds.
	int may_fork = !is_heir && (is_shimmed || is_handed), may_exec = tree || is_handed || !tally->apart;
	// Without the library the descriptor is all that holds beside the PID.
	int may_close = is_shimmed || (!tally->apart && !tally->unrecorded), may_succeed;

	if (is_handed_heir)
		may_exec = may_close = 0;
	// An outer lock is held through fork or through exec, not through both.
	if (!is_innermost)
		may_exec = 0;
	may_succeed = may_fork && tally->succession && (is_innermost || is_handed);
	at(MAIN);
	tally->bare = !is_shimmed && !is_heir;
	if (is_shimmed)
		tally->pid_alone = is_heir;
	else if (slot >= 0 && !tree && !tally->unrecorded && !is_handed)
		tally->pid_alone = true;
	if (one_in(3))
		open_many();
	linger();
	if (may_fork && one_in(5)) {
		at(COMMAND);
		command();
	}
	if (may_close && one_in(5)) {
		at(CLOSE_ALL);
		if (!is_shimmed)
			tally->pid_alone = true;
		close_all();
		// In scope "tree", and over another user's file, it has thrown away what its next image would have inherited.
		may_exec = may_exec && !tree && !tally->unrecorded;
		may_fork = may_fork && is_shimmed;
		may_succeed = may_succeed && may_fork && !tree && !tally->unrecorded;
	}
	if (may_fork && one_in(5)) {
		at(WORKERS);
		workers();
	}
	if (may_fork && one_in(4)) {
		enum step step = one_in(2) ? DAEMON_EXIT : DAEMON__EXIT;

		at(step);
		go_into_background(step);
		linger();
		may_exec = 0;
		may_succeed = may_succeed && tally->daemons_succeed;
	}
	if (may_succeed && one_in(3)) {
		start_heir();
		linger();
		may_exec = 0;
	}
	if (may_exec && one_in(3))
		from_any_thread(become_another);
	from_any_thread(leave);
}

// Nothing but what any program does.
__attribute__((noreturn)) static void try_and_leave(void)
{
	at(MAIN);
	tally->bare = !is_shimmed;
	linger();
	tally->ending = true;
	if (one_in(4)) {
		at(RAW_EXIT);
		_exit(0);
	}
	if (one_in(4)) {
		at(CAPITAL_EXIT);
		_Exit(0);
	}
	if (one_in(4)) {
		at(QUICK_EXIT);
		quick_exit(0);
	}
	at(EXIT);
	exit(0);
}

// What this image is, and what it has of the lock.
static void look_at_itself(void)
{
	const char *scope = getenv("EXCLUSIVELOCK_SCOPE"), *preload = getenv("LD_PRELOAD"), *name = getenv("EXCLUSIVELOCK_NAME");

	tree = scope && strcmp(scope, "tree") == 0;
	is_innermost = name && strcmp(name, "storm") == 0;
	is_static = strstr(arguments[0], "-static") != NULL;
	is_shimmed = !is_static && preload && *preload;
	is_handed = !is_shimmed && getenv("STORM_HANDED");
	// Its library has taken the descriptor over.
	if (!is_handed)
		unsetenv("STORM_HANDED");
}

// A command whose holder was gone when it began. Where the storm's lock is an outer one, it has taken the inner one.
static bool has_taken_lock(void)
{
	const char *holder = getenv("EXCLUSIVELOCK_PID");

	return holder && atol(holder) == getpid() && is_innermost;
}

int main(int argc, char **argv)
{
	const char *heir = getenv("STORM_HEIR");

	if (argc != 5)
		return BROKEN;
	arguments = argv;
	slot = atoi(argv[2]);
	srandom((unsigned)atol(argv[3]));
	oracle = atoi(argv[4]);
	tally = map_tally(argv[1]);
	look_at_itself();
	// A child that was started with the lock of its parent lives a little; one whose parent was gone has taken its own.
	if (slot < 0 && !has_taken_lock()) {
		if (oracle >= 0 && is_shimmed)
			close_all();
		linger();
		return 0;
	}
	if (heir)
		inherit(heir);
	if (slot >= 0)
		win(tally, slot);
	if (slot >= 0 && oracle < 0)
		note_time(&tally->longest_start, tally->started_at[slot]);
	if (oracle < 0)
		oracle = entrance_take_oracle(tally, argv[1], slot);
	family = tally->relative[0];
	if (tally->calm)
		try_and_leave();
	live();
}
