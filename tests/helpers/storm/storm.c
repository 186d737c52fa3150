// SPDX-License-Identifier: MIT
// storm FOLDER SHIM SECONDS [wait] [tree] [calm] [peers] [users] [namespaces] [times] [stranger]
//	[launch=LAUNCHER] [handover] [close] [succession] [daemons] [tidy] [replace]: starts the victim, which is next to this program,
// again and again in 8 slots under SHIM (empty: without) and kills some of them at any instant. After each round, when every
// process of the storm is gone, one start must win, and of many at once one must. Prints one line; 0 only if nothing was wrong.
//
//	wait tree	ours wait for the lock; scope tree
//	calm		all rounds are such that everybody tries and leaves: then nobody may be refused while no other is about
//	peers		Python's protocol and flock(1) take part; the real ones, too (contender.py has to be next to this program)
//	users		every start is root's or another user's
//	namespaces	every other round is in two PID namespaces at once, without Python
//	times		every third start is in a time namespace of its own
//	launch		every other start is by LAUNCHER, the exlock-launch that was built: static victims, some without the library, and inside
//			and around locks of other names. Without "handover" not with peers: flock(1) may get in when the launcher becomes
//			the victim
//	handover	the launcher leaves the lock's descriptor to a victim that loads no library: its forks, too, hold the lock
//	close		some of those are started with --close, and have none
//	succession	some start their own copy, and leave the lock to it
//	daemons		daemons do that, too
//	tidy		a start that was alone and has ended by exit, _exit or quick_exit may leave no file
//	replace		some starts ask the holder to end; killed meanwhile, they leave what they have not ended yet: not with "succession"
//	stranger	a user who starts nothing maps, locks, plants and squats all the time (stranger.h)
#define _GNU_SOURCE
#include "../words.h"
#include "gaps.h"
#include "peers.h"
#include "slots.h"
#include "stranger.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

// MANY: of so many wins some must be every kind of contender's.
enum { FEW = 8, MANY = 500 };

static const double ROUND = 0.2;

static struct storm storm;

__attribute__((format(printf, 2, 3))) static void put(const char *name, const char *format, ...)
{
	static int count;
	char value[4096];
	va_list values;

	va_start(values, format);
	vsnprintf(value, sizeof value, format, values);
	va_end(values);
	if (asprintf(&storm.environment[count++], "%s=%s", name, value) < 0)
		exit(BROKEN);
}

static void set_environment(void)
{
	put("LD_PRELOAD", "%s", storm.shim);
	put("EXCLUSIVELOCK_NAME", "storm");
	put("EXCLUSIVELOCK_DIR", "%s", storm.locks);
	put("EXCLUSIVELOCK_EXIT_CODE", "%d", REFUSED);
	put("EXCLUSIVELOCK_QUIET", "1");
	put("EXCLUSIVELOCK_ON_HELD", "%s", storm.waiting ? "wait" : "abort");
	put("EXCLUSIVELOCK_SCOPE", "%s", storm.tree ? "tree" : "process");
	if (storm.waiting)
		put("EXCLUSIVELOCK_TIMEOUT", "30");
	// For the real Python program.
	setenv("EXCLUSIVELOCK_DIR", storm.locks, 1);
}

// What one process does in its slots: a storm UNTIL then, or, with a GATE, all start at once.
struct work {
	double until;
	const int *gate;
};

__attribute__((noreturn)) static void do_work(const struct work *work, struct range range)
{
	srandom((unsigned)getpid() ^ (unsigned)(now() * 1e6));
	if (work->gate)
		slots_start_at_once(&storm, range, work->gate);
	else
		slots_run(&storm, range, work->until);
	_exit(0);
}

// As the first process of a PID namespace, with its own /proc.
__attribute__((noreturn)) static void do_work_apart(const struct work *work, struct range range)
{
	pid_t child;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(BROKEN);
	child = fork();
	if (child < 0)
		_exit(BROKEN);
	if (child == 0 && mount("proc", "/proc", "proc", 0, NULL) < 0)
		_exit(BROKEN);
	if (child == 0)
		do_work(work, range);
	if (work->gate) {
		close(work->gate[0]);
		close(work->gate[1]);
	}
	if (waitpid(child, NULL, 0) != child)
		_exit(BROKEN);
	_exit(0);
}

// The work is done by processes of which nobody else is a child, so that they know when everything is over.
static void do_work_in(int slots, const struct work *work)
{
	int places = storm.tally->apart && slots > 1 ? 2 : 1, status;
	pid_t child[2];

	for (int place = 0; place < places; place++) {
		struct range range = { slots * place / places, slots * (place + 1) / places };

		child[place] = fork();
		if (child[place] < 0)
			exit(BROKEN);
		if (child[place] > 0)
			continue;
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		if (places > 1)
			do_work_apart(work, range);
		do_work(work, range);
	}
	if (work->gate) {
		close(work->gate[0]);
		close(work->gate[1]);
	}
	for (int place = 0; place < places; place++)
		if (waitpid(child[place], &status, 0) != child[place] || status != 0)
			exit(BROKEN);
}

// For the words about a lock that was free and that nobody got.
static void tell_file(void)
{
	char content[64] = "";
	struct stat status;
	int fd = open(storm.lock_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "no lock file is there\n");
		return;
	}
	(void)!read(fd, content, sizeof content - 1);
	if (fstat(fd, &status) == 0)
		fprintf(stderr, "the lock file has \"%s\", stamp %ld, mode %o, owner %u; that process %s\n", content,
			status.st_mtim.tv_nsec, status.st_mode & 07777, status.st_uid,
			atoi(content) > 0 && kill(atoi(content), 0) == 0 ? "lives" : "is gone");
	close(fd);
}

// COUNT starts at the same moment, at a free lock: one at least must win.
static void start_at_free_lock(int count)
{
	int gate[2], won = 0;

	if (pipe2(gate, O_CLOEXEC) < 0)
		exit(BROKEN);
	storm.tally->untidy = false;
	do_work_in(count, &(struct work){ .gate = gate });
	for (int i = 0; i < count; i++)
		won += storm.tally->won[i];
	if (storm.tidy && count == 1 && storm.tally->calm && !storm.tally->untidy && access(storm.lock_path, F_OK) == 0) {
		fprintf(stderr, "stale: one that was alone, %s, has ended by itself, step %d, and left its file\n",
			storm.tally->winners_way, storm.tally->step);
		tell_file();
		storm.tally->stale++;
	}
	if (won > 0)
		return;
	fprintf(stderr, "lost: the lock was free, and none of %d got it\n", count);
	tell_file();
	storm.tally->lost++;
}

static void round_of_storm(void)
{
	static unsigned number;
	struct tally *tally = storm.tally;

	number++;
	// A PID from another PID namespace, left in a stale file, means another process to Python.
	if (tally->apart && storm.peers)
		unlink(storm.lock_path);
	tally->apart = storm.namespaces && number % 2 == 0;
	// What the stranger refuses is refused while nobody else of the storm is about.
	tally->calm = storm.calm || (!storm.waiting && !tally->strange && number % 8 < 2);
	do_work_in(tally->calm ? 2 + (int)(random() % (FEW - 1)) : FEW, &(struct work){ .until = now() + ROUND });
	if (tally->calm)
		slots_check_refusals(&storm);
	stranger_rest(tally, true);
	start_at_free_lock(1);
	start_at_free_lock(tally->calm && number % 4 < 2 ? SLOTS : FEW);
	stranger_rest(tally, false);
	tally->attempts = 0;
}

static int files_left(void)
{
	struct dirent *entry;
	int count = 0;
	DIR *locks = opendir(storm.locks);

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

static void find_folder(const char *folder)
{
	storm.folder = folder;
	snprintf(storm.locks, sizeof storm.locks, "%s/locks", folder);
	snprintf(storm.lock_path, sizeof storm.lock_path, "%s/locks/" LOCK_FILE("storm"), folder);
	storm.tally = map_tally(folder);
}

// One that is there already keeps its mode.
static void make_directory(const char *name, mode_t mode)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", storm.folder, name);
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		exit(BROKEN);
}

static void prepare(int seconds)
{
	// 1: no core file, and no core handler on a pipe either.
	const struct rlimit no_core = { 1, 1 };

	if (readlink("/proc/self/exe", storm.place, sizeof storm.place - 1) < 0)
		exit(BROKEN);
	*strrchr(storm.place, '/') = '\0';
	umask(0);
	make_directory("locks", 0755);
	make_directory("others", 01777);
	umask(022);
	close(open_oracle(storm.folder));
	setrlimit(RLIMIT_CORE, &no_core);
	setpgid(0, 0);
	prctl(PR_SET_TIMERSLACK, 1);
	srandom((unsigned)time(NULL) ^ (unsigned)getpid());
	signal(SIGALRM, give_up);
	alarm((unsigned)seconds * 4 + 60);
}

// "storm under-flock FOLDER SLOT SEED" is what a real flock(1) runs.
__attribute__((noreturn)) static void run_under_flock(char **argv)
{
	find_folder(argv[2]);
	srandom((unsigned)atol(argv[4]));
	gaps_prepare(storm.tally, storm.folder, storm.lock_path);
	peers_run_under_flock(storm.tally, storm.lock_path, atoi(argv[3]));
}

// What follows WORD in the first of WORDS that begins with it; NULL: none does.
static const char *find(char **words, const char *word)
{
	for (; *words; words++)
		if (strncmp(*words, word, strlen(word)) == 0)
			return *words + strlen(word);
	return NULL;
}

static bool has(char **words, const char *word)
{
	for (; *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static void read_words(char **words)
{
	const char *launcher = find(words, "launch=");

	storm.launcher = launcher ? launcher : "";
	storm.waiting = has(words, "wait");
	storm.tree = has(words, "tree");
	storm.calm = has(words, "calm");
	storm.peers = has(words, "peers");
	storm.users = has(words, "users");
	storm.namespaces = has(words, "namespaces");
	storm.times = has(words, "times");
	storm.handover = has(words, "handover");
	storm.closes = has(words, "close");
	storm.replaces = has(words, "replace");
	storm.tidy = has(words, "tidy");
}

static int report(int seconds)
{
	struct tally *tally = storm.tally;
	unsigned long wins = tally->wins[EXLOCK] + tally->wins[PYTHON] + tally->wins[FLOCK];
	int left = files_left();

	if (tally->succession || storm.replaces)
		printf("%lu with a successor; %lu processes ended by a start that replaces them, %lu such starts ended with 125\n",
			tally->successions, tally->replaced, tally->unreplaced);
	printf("peers' own: %lu dead file, %lu overtaken, %lu unseen, %lu last instant, %lu other peer; "
		"deaths in another PID namespace: %lu; pinned memory: %lu; killed beside its successor: %lu\n", tally->gaps[DEAD_FILE], tally->gaps[OVERTAKEN],
		tally->gaps[UNSEEN], tally->gaps[LAST_INSTANT], tally->gaps[OTHER_PEER], tally->gaps[FAR_DEATH], tally->gaps[PINNED], tally->gaps[HEIRLESS]);
	printf("at most: a start %lu ms%s, an end %lu ms\n", tally->longest_start / 1000, storm.waiting ? " with its waiting" : "",
		tally->longest_end / 1000);
	printf("storm: %lu launches, %lu wins (%lu exlock, %lu Python, %lu flock), %lu refusals, %lu denied, %lu kills, "
		"%lu overlaps, %lu errors, %lu lost, %d files left\n", tally->launches, wins, tally->wins[EXLOCK],
		tally->wins[PYTHON], tally->wins[FLOCK], tally->refusals, tally->denials, tally->kills, tally->overlaps,
		tally->errors + tally->stale, tally->lost, left);
	return tally->overlaps || tally->errors || tally->stale || tally->lost || left > 1 || wins < (unsigned)seconds ||
	       (storm.peers && wins >= MANY && (tally->wins[PYTHON] == 0 || tally->wins[FLOCK] == 0));
}

int main(int argc, char **argv)
{
	int seconds = argc > 3 ? atoi(argv[3]) : 0;
	double until;

	if (argc == 5 && strcmp(argv[1], "under-flock") == 0)
		run_under_flock(argv);
	if (seconds <= 0) {
		fprintf(stderr, "usage: storm FOLDER SHIM SECONDS [wait] [tree] [calm] [peers] [users] [namespaces] "
			"[times] [stranger] [launch=LAUNCHER] [handover] [close] [succession] [daemons] [tidy] [replace]\n");
		return BROKEN;
	}
	storm.shim = argv[2];
	read_words(argv + 4);
	find_folder(argv[1]);
	storm.tally->succession = has(argv + 4, "succession");
	storm.tally->daemons_succeed = has(argv + 4, "daemons");
	prepare(seconds);
	set_environment();
	if (has(argv + 4, "stranger"))
		stranger_start(storm.tally, storm.lock_path);
	for (until = now() + seconds; now() < until;)
		round_of_storm();
	stranger_end();
	return report(seconds);
}
