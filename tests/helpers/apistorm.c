// SPDX-License-Identifier: MIT
// apistorm SECONDS: threads, forks, daemons, execs, cancels, signals and kills at once, on few names of libexclusivelock's. Says
// "WINS wins, OVERLAPS overlaps, FAULTS faults", and on standard error what is wrong.
#include <errno.h>
#include <exclusivelock.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 3, WORKERS = 3, THREADS = 4, FINAL_TRIES = 500 };

// ThreadSanitizer knows no threads in a child that was forked from many: such a child does not wait.
#ifdef __SANITIZE_THREAD__
#define CHILDREN_WAIT false
#else
#define CHILDREN_WAIT true
#endif

// What all processes share.
static struct shared {
	_Atomic int64_t inside[NAMES];	// the PID of who is inside, by its own account
	_Atomic int wins, overlaps, faults, over;
} *shared;

static const char *const names[NAMES] = { "a", "b", "c" };
static const char *self;

static unsigned random_below(unsigned limit)
{
	static _Atomic unsigned state;
	unsigned x = atomic_fetch_add(&state, 2654435761u) ^ (unsigned)getpid() * 40503u;

	x ^= x >> 15;
	x *= 2246822519u;
	x ^= x >> 13;
	return x % limit;
}

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
	char line[256];
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	shared->faults++;
	(void)!write(STDERR_FILENO, line, (size_t)length);
}

static void pause_shortly(unsigned microseconds)
{
	struct timespec time = { .tv_nsec = 1000L * random_below(microseconds + 1) };

	nanosleep(&time, NULL);
}

// A process that was killed could not say that it has left.
static bool has_ended(pid_t pid)
{
	char path[64], line[256] = "";
	FILE *file;
	const char *end;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	file = fopen(path, "r");
	if (!file)
		return true;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');
	return !end || end[2] == 'Z' || end[2] == 'X';
}

static void go_in(int name, const char *how)
{
	int64_t before = 0;

	shared->wins++;
	while (!atomic_compare_exchange_strong(&shared->inside[name], &before, getpid())) {
		if (before == getpid() || !has_ended((pid_t)before)) {
			shared->overlaps++;
			fault("overlap: %s: %ld beside %ld, by %s\n", names[name], (long)getpid(), (long)before, how);
			return;
		}
	}
}

// The lock passes to this process with a share of it.
static void go_in_after(int name, pid_t parent)
{
	int64_t before = parent;

	if (!atomic_compare_exchange_strong(&shared->inside[name], &before, getpid())) {
		shared->overlaps++;
		fault("overlap: %s: the daemon %ld beside %ld\n", names[name], (long)getpid(), (long)before);
	}
}

static void go_out(int name)
{
	int64_t mine = getpid();

	if (!atomic_compare_exchange_strong(&shared->inside[name], &mine, 0))
		fault("%s: %ld was not inside, but %ld\n", names[name], (long)getpid(), (long)mine);
}

static void release(exclusivelock *lock)
{
	if (exclusivelock_release(lock) != 0)
		fault("release: %s\n", strerrorname_np(errno));
}

static exclusivelock *get(int name, bool may_wait)
{
	static const double times[] = { 0, 0.001, 0.02, 0.1 };
	unsigned way = random_below(may_wait ? 5 : 1);
	exclusivelock *lock = way == 0 ? exclusivelock_try(names[name]) : exclusivelock_wait(names[name], times[way - 1]);

	// A child may have a share of another thread's.
	if (!lock && errno != EWOULDBLOCK && errno != EALREADY && errno != EDEADLK && errno != ETIMEDOUT && errno != EINTR)
		fault("%s: %s\n", way ? "wait" : "try", strerrorname_np(errno));
	return lock;
}

static void hold_shortly(int name, exclusivelock *lock, const char *how)
{
	go_in(name, how);
	pause_shortly(200);
	go_out(name);
	release(lock);
}

struct waiter {
	int name;
	bool got;
};

static void *wait_to_be_cancelled(void *context)
{
	struct waiter *waiter = context;
	exclusivelock *lock = exclusivelock_wait(names[waiter->name], 10);
	int ignored;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
	if (lock)
		hold_shortly(waiter->name, lock, "a wait to be cancelled");
	return NULL;
}

static void cancel_wait(int name)
{
	struct waiter waiter = { .name = name };
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_to_be_cancelled, &waiter) != 0)
		return;
	pause_shortly(3000);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

static void await(pid_t child, const char *what)
{
	int status;

	while (waitpid(child, &status, 0) == -1 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		fault("%s: signal %d\n", what, WTERMSIG(status));
}

// A child of a holder drops its share, or keeps it until it ends; by fork(3) or by the system call, which runs no handlers.
static void fork_holding(int name)
{
	exclusivelock *lock = get(name, true);
	bool raw = random_below(4) == 0;
	pid_t child;

	if (!lock)
		return;
	go_in(name, "a forking one");
	child = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
	if (child == 0) {
		if (!raw && random_below(2)) {
			release(lock);
			lock = get(name, false);
			if (lock)
				hold_shortly(name, lock, "a child after its parent");
		}
		pause_shortly(300);
		_exit(0);
	}
	pause_shortly(300);
	go_out(name);
	release(lock);
	if (child != -1)
		await(child, "child");
}

// A child that is forked at any time takes a lock of its own.
static void fork_any_time(int name)
{
	pid_t child = fork();

	if (child == 0) {
		exclusivelock *lock = get(name, CHILDREN_WAIT);

		if (lock)
			hold_shortly(name, lock, "a child");
		_exit(0);
	}
	if (child != -1)
		await(child, "child of its own");
}

static void be_daemon(int name, exclusivelock *lock, pid_t parent)
{
	setsid();
	while (!has_ended(parent) && getppid() == parent)
		sched_yield();
	if (exclusivelock_holder(names[name]) != getpid() || exclusivelock_try(names[name]) || errno != EALREADY)
		fault("the daemon's own: holder %ld of %ld, %s\n", (long)exclusivelock_holder(names[name]), (long)getpid(), strerrorname_np(errno));
	go_in_after(name, parent);
	pause_shortly(300);
	go_out(name);
	release(lock);
	_exit(0);
}

static void make_daemon(int name)
{
	pid_t child = fork(), parent;
	exclusivelock *lock;

	if (child > 0)
		await(child, "daemon's parent");
	if (child != 0)
		return;
	parent = getpid();
	lock = get(name, false);
	if (lock) {
		go_in(name, "a daemon's parent");
		if (fork() == 0)
			be_daemon(name, lock, parent);
	}
	switch (random_below(3)) {
	case 0:
		kill(getpid(), SIGKILL);
		break;
	case 1:
		exit(0);
	default:
		_exit(0);
	}
}

// The process goes on as another program, which takes the lock again.
static void call_exec(int name)
{
	pid_t child = fork();

	if (child == 0) {
		exclusivelock *lock = get(name, false);

		if (!lock)
			_exit(0);
		go_in(name, "one that calls exec");
		execl(self, self, "exec", names[name], NULL);
		_exit(1);
	}
	if (child != -1)
		await(child, "exec");
}

static void *work(void *unused)
{
	static void (*const ways[])(int) = { fork_holding, fork_any_time, make_daemon, call_exec, cancel_wait, cancel_wait };

	(void)unused;
	while (!shared->over) {
		int name = (int)random_below(NAMES);
		unsigned way = random_below(24);
		exclusivelock *lock;

		if (way < sizeof(ways) / sizeof(*ways)) {
			ways[way](name);
			continue;
		}
		lock = get(name, true);
		if (lock)
			hold_shortly(name, lock, "a thread");
	}
	return NULL;
}

static void handle(int signal)
{
	(void)signal;
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		count += access(path, F_OK) == 0;
	}
	return count;
}

static bool maps_a_lock(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	bool found = false;

	while (maps && fgets(line, sizeof(line), maps))
		found = found || strstr(line, "py_exclusivelock_");
	if (maps)
		fclose(maps);
	return found;
}

// A process of many threads, which gets signals of each kind all the time.
static void be_worker(void)
{
	int before = count_descriptors();
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (count_descriptors() != before)
		fault("descriptors: %d, before %d\n", count_descriptors(), before);
	if (maps_a_lock())
		fault("a lock file is mapped\n");
	exit(0);
}

static pid_t start_worker(void)
{
	pid_t pid = fork();

	if (pid == 0)
		be_worker();
	return pid;
}

static void rage(int seconds)
{
	static const int signals[] = { SIGUSR1, SIGUSR2, 0, 0 };
	const struct sigaction restarts = { .sa_handler = handle, .sa_flags = SA_RESTART }, interrupts = { .sa_handler = handle };
	pid_t workers[WORKERS];
	struct timespec now;
	time_t end;

	sigaction(SIGUSR1, &restarts, NULL);
	sigaction(SIGUSR2, &interrupts, NULL);
	sigaction(SIGRTMAX, &interrupts, NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + seconds;
	for (int i = 0; i < WORKERS; i++)
		workers[i] = start_worker();
	while (clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec < end) {
		int victim = (int)random_below(WORKERS), signal = signals[random_below(4)];

		pause_shortly(2000);
		if (random_below(200) == 0) {
			kill(workers[victim], SIGKILL);
			waitpid(workers[victim], NULL, 0);
			workers[victim] = start_worker();
		} else if (now.tv_sec < end - 1) {
			kill(workers[victim], signal ? signal : SIGRTMAX);
		}
	}
	shared->over = 1;
	for (int i = 0; i < WORKERS; i++) {
		int status;

		waitpid(workers[i], &status, 0);
		if (status != 0)
			fault("a worker's status: %#x\n", (unsigned)status);
	}
}

// Whether NAME can be taken, and leaves no file when it has been released.
static bool is_as_before(const char *name)
{
	exclusivelock *lock = exclusivelock_try(name);
	char path[4096];

	if (!lock)
		return false;
	snprintf(path, sizeof(path), "%s", exclusivelock_path(lock));
	release(lock);
	return access(path, F_OK) == -1;
}

// What was killed, its children and daemons may still be ending; and while anybody's process hangs in its end, a file may stay.
static void take_all_again(void)
{
	for (int i = 0; i < NAMES; i++) {
		int tries = 0;

		while (tries < FINAL_TRIES && !is_as_before(names[i])) {
			usleep(10000);
			tries++;
		}
		if (tries == FINAL_TRIES)
			fault("%s cannot be taken again, or leaves a file: holder %ld\n", names[i], (long)exclusivelock_holder(names[i]));
	}
}

// After exec the PID holds the lock. A contender may have the flock for an instant, which does not matter.
static int go_on(const char *name)
{
	exclusivelock *lock = exclusivelock_try(name);

	if (!lock)
		fault("after exec: %s, holder %ld of %ld\n", strerrorname_np(errno), (long)exclusivelock_holder(name), (long)getpid());
	go_out(name[0] - 'a');
	release(lock);
	return 0;
}

static struct shared *share(void)
{
	const char *file = getenv("APISTORM");
	FILE *stream = fopen(file ? file : "/dev/null", "r+");
	void *memory = stream ? mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fileno(stream), 0) : MAP_FAILED;

	if (stream)
		fclose(stream);
	return memory == MAP_FAILED ? NULL : memory;
}

// APISTORM names a file of a page, for what all processes share.
int main(int argc, char **argv)
{
	self = argv[0];
	shared = share();
	if (!shared || argc < 2)
		return 2;
	if (strcmp(argv[1], "exec") == 0)
		return go_on(argv[2]);
	rage(atoi(argv[1]));
	take_all_again();
	printf("%d wins, %d overlaps, %d faults\n", shared->wins, shared->overlaps, shared->faults);
	return shared->wins == 0 || shared->overlaps != 0 || shared->faults != 0;
}
