// SPDX-License-Identifier: MIT
// apithreads WHAT NAME [ARG...]: a lock of libexclusivelock in the threads of one process, and signals during a wait. Says what it finds, a
// word a line; the last one, if nothing is wrong, is "ready".
// A lock that is held until the process ends is what many cases are about.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
#include "apicase.h"

#include <dirent.h>
#include <errno.h>
#include <exclusivelock.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUEUE = 3, SIGNALS = 5, WAITING_THREADS = 3 };

#ifdef STORAGE
// Libc takes that out of each thread's stack.
__attribute__((used)) static __thread char storage[STORAGE] = "x";
#endif

// Until the library has COUNT threads at work for a wait; the caller's own and the main thread count, too.
static void await_threads(int count)
{
	while (count_threads() < count)
		sched_yield();
}

// How many threads of this process are in the kernel's queue for a flock. (/proc/locks may list one twice while others come and go.)
static int count_queued(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = 0;

	for (struct dirent *task; tasks && (task = readdir(tasks)) != NULL;) {
		char path[300];
		FILE *file;
		long number;

		snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", task->d_name);
		file = fopen(path, "r");
		count += file && fscanf(file, "%ld", &number) == 1 && number == SYS_flock;
		if (file)
			fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return count;
}

static _Atomic int inside, turns, last_error;

static void *take_turn(void *name)
{
	exclusivelock *lock = exclusivelock_wait(name, -1);

	if (!lock)
		return NULL;
	if (inside++ == 0)
		turns++;
	sched_yield();
	inside--;
	exclusivelock_release(lock);
	return NULL;
}

static void *wait_shortly(void *name)
{
	last_error = exclusivelock_wait(name, 0.3) ? 0 : errno;
	return NULL;
}

static void *wait_once(void *name)
{
	exclusivelock *lock = exclusivelock_wait(name, 60);

	last_error = lock ? 0 : errno;
	exclusivelock_release(lock);
	return NULL;
}

static pthread_t start(void *(*function)(void *), void *context)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, context) != 0)
		fail("thread");
	return thread;
}

static int queue(char *name)
{
	exclusivelock *lock = exclusivelock_try(name);
	pthread_t threads[QUEUE];

	for (int i = 0; i < QUEUE; i++)
		threads[i] = start(take_turn, name);
	await_threads(1 + QUEUE * WAITING_THREADS);
	exclusivelock_release(lock);
	for (int i = 0; i < QUEUE; i++)
		pthread_join(threads[i], NULL);
	return turns == QUEUE && exclusivelock_holder(name) == 0 ? say("ready") : fail("turns");
}

// Another process holds, and one thread waits.
static int others(char *name, bool dies)
{
	pthread_t thread = start(wait_once, name);

	await_threads(1 + WAITING_THREADS);
	if (dies)
		exclusivelock_die(name);
	if (exclusivelock_try(name) || errno != EWOULDBLOCK || exclusivelock_holder(name) == getpid())
		return fail("try");
	say("waiting");
	pthread_join(thread, NULL);
	return last_error == 0 ? say("ready") : fail("wait");
}

// What can never come is told at once.
static int own(char *name)
{
	exclusivelock *lock = exclusivelock_try(name);

	if (exclusivelock_wait(name, -1) || errno != EALREADY)
		return fail("wait for itself");
	exclusivelock_forever(lock);
	pthread_join(start(wait_once, name), NULL);
	return last_error == EALREADY ? say("ready") : fail("wait for ever");
}

static void *take_once(void *context)
{
	exclusivelock **lock = context;

	*lock = exclusivelock_try("n");
	return NULL;
}

// The thread that took the lock has ended. Libc gives its pthread_t to the next one.
static int succeed(char *name)
{
	exclusivelock *lock;
	pthread_t first = start(take_once, &lock), second;

	pthread_join(first, NULL);
	second = start(wait_once, name);
	if (first != second)
		return fail("another pthread_t");
	while (last_error == 0 && count_queued() == 0)
		sched_yield();
	exclusivelock_release(lock);
	pthread_join(second, NULL);
	return last_error == 0 ? say("ready") : fail("wait");
}

// The program closes all descriptors, and the flock may be gone. The lock is not.
static int lose_descriptors(char *name)
{
	exclusivelock *lock = exclusivelock_try(name);

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	pthread_join(start(wait_shortly, name), NULL);
	if (!lock || last_error != ETIMEDOUT)
		return fail("wait");
	exclusivelock_release(lock);
	pthread_join(start(wait_once, name), NULL);
	return last_error == 0 ? say("ready") : fail("wait after the release");
}

// Says "ready" at the very end, after all exit handlers, under a filter that kills.
static int end_confined(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };
	static char buffer[64];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	printf("ready %ld", (long)getpid());
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return fail("seccomp");
	return 0;
}

static _Atomic int handled;

static void handle(int signal)
{
	int error = errno;

	(void)signal;
	handled++;
	errno = error;
}

static void catch(int signal, int flags)
{
	const struct sigaction action = { .sa_handler = handle, .sa_flags = flags };

	sigaction(signal, &action, NULL);
}

static pthread_t main_thread;

static _Atomic bool ended;

// Five times the signal that is to change nothing, and then the one that is to end the wait: it may come before the thread sleeps.
static void *send_signals(void *unused)
{
	(void)unused;
	while (count_queued() == 0)
		sched_yield();
	for (int i = 1; i <= SIGNALS; i++) {
		pthread_kill(main_thread, SIGUSR1);
		while (handled < i)
			sched_yield();
	}
	while (!ended) {
		pthread_kill(main_thread, SIGUSR2);
		usleep(1000);
	}
	return NULL;
}

// With SA_RESTART a handler does not end a wait, neither one with a limit nor one without; without, it does.
static int interrupt(char *name)
{
	main_thread = pthread_self();
	catch(SIGUSR1, SA_RESTART);
	catch(SIGUSR2, 0);
	for (int i = 0; i < 2; i++) {
		pthread_t sender;

		handled = 0;
		ended = false;
		sender = start(send_signals, NULL);
		if (exclusivelock_wait(name, i ? -1 : 600) || errno != EINTR || handled <= SIGNALS)
			return fail("interrupted");
		ended = true;
		pthread_join(sender, NULL);
	}
	return say("ready");
}

static bool is_handled(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == handle;
}

// Every signal of the program's is the program's during a wait with a limit.
static int keep_signals(char *name)
{
	pthread_t waiter;
	sigset_t pending, all;
	pid_t child;
	int status;

	catch(SIGRTMAX, SA_RESTART);
	waiter = start(wait_shortly, name);
	await_threads(1 + WAITING_THREADS);
	for (int i = 1; i <= SIGNALS; i++) {
		kill(getpid(), SIGRTMAX);
		while (handled < i)
			sched_yield();
	}
	child = fork();
	if (child == 0)
		_exit(!is_handled(SIGRTMAX));
	waitpid(child, &status, 0);
	if (status != 0)
		return fail("the child's disposition");
	signal(SIGRTMAX, SIG_IGN);
	pthread_join(waiter, NULL);
	if (last_error != ETIMEDOUT || signal(SIGRTMAX, SIG_DFL) != SIG_IGN)
		return fail("ignored meanwhile");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (exclusivelock_wait(name, 0.01) || errno != ETIMEDOUT)
		return fail("all blocked");
	sigpending(&pending);
	for (int i = 1; i <= SIGRTMAX; i++)
		if (sigismember(&pending, i) == 1)
			return fail("pending");
	return say("ready");
}

// Other threads may close whatever they find during a wait.
static int close_all(char *name)
{
	pthread_t waiter = start(wait_once, name);

	await_threads(1 + WAITING_THREADS);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	say("waiting");
	pthread_join(waiter, NULL);
	return last_error == 0 ? say("ready") : fail("wait");
}

// The wait ends when the program has room for SPARE descriptors more.
static int run_out_of_descriptors(char *name, int spare)
{
	pthread_t waiter = start(wait_once, name);
	int fds[1024], count = 0;

	while (count_queued() == 0)
		sched_yield();
	while (count < 1024 && (fds[count] = dup(STDIN_FILENO)) != -1)
		count++;
	for (int i = 0; i < spare; i++)
		close(fds[--count]);	// NOLINT(clang-analyzer-core.CallAndMessage): there are as many
	say("waiting");
	pthread_join(waiter, NULL);
	while (count > 0)
		close(fds[--count]);
	if (last_error != EMFILE && (last_error != 0 || spare < 2))
		return fail("wait");
	say("ready");
	pause();
	return 0;
}

// How many wait for the lock file at PATH, by a list that may pass over one, or have one twice, while others come and go.
static int count_listed(const char *path)
{
	FILE *list = fopen("/proc/locks", "r");
	char line[256], inode[32];
	struct stat status;
	int count = 0;

	if (!list || stat(path, &status) != 0)
		return fail("list");
	snprintf(inode, sizeof(inode), ":%lu ", (unsigned long)status.st_ino);
	while (fgets(line, sizeof(line), list))
		count += strstr(line, "-> FLOCK") && strstr(line, inode);
	fclose(list);
	return count;
}

struct place {
	char *name;
	int number, file;
};

static void *take_place(void *context)
{
	struct place *place = context;
	exclusivelock *lock = exclusivelock_wait(place->name, 60);

	if (!lock || dprintf(place->file, "%d\n", place->number) < 0)
		fail("place");
	exclusivelock_release(lock);
	return NULL;
}

// apithreads line NAME PATH FIRST LAST FILE: queues by one thread for each number, once all before it have come.
static int stand_in_line(char *name, char **arguments)	// NOLINT(readability-non-const-parameter): of one type with the others
{
	int first = atoi(arguments[1]), last = atoi(arguments[2]);
	int file = open(arguments[3], O_WRONLY | O_APPEND);
	struct place places[64];
	pthread_t threads[64];

	for (int number = first; number <= last; number++) {
		int i = number - first;

		places[i] = (struct place){ name, number, file };
		threads[i] = start(take_place, &places[i]);
		// A thread may sleep in the system call before it is in the queue.
		while (count_queued() <= i || count_listed(arguments[0]) != number)
			sched_yield();
	}
	say("waiting");
	for (int i = 0; i <= last - first; i++)
		pthread_join(threads[i], NULL);	// NOLINT(clang-analyzer-core.CallAndMessage): as many as were started
	return say("ready");
}

static int check_arguments(char *name)
{
	exclusivelock *lock;

	if (exclusivelock_wait(name, NAN) || errno != EINVAL)
		return fail("NAN");
	if (exclusivelock_path(NULL) || errno != EINVAL)
		return fail("the path of NULL");
	errno = 77;
	lock = exclusivelock_try(name);
	if (!lock || exclusivelock_holder(name) != getpid() || exclusivelock_release(lock) != 0 || exclusivelock_holder(name) != 0 ||
	    exclusivelock_release(NULL) != 0)
		return fail("try and release");
	lock = exclusivelock_wait(name, 1);
	(void)exclusivelock_path(lock);
	exclusivelock_forever(lock);
	return errno == 77 ? say("ready") : fail("errno");
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	char *name = argv[2];

	if (strcmp(what, "queue") == 0)
		return queue(name);
	if (strcmp(what, "others") == 0)
		return others(name, false);
	if (strcmp(what, "die") == 0)
		return others(name, true);
	if (strcmp(what, "own") == 0)
		return own(name);
	if (strcmp(what, "succeed") == 0)
		return succeed(name);
	if (strcmp(what, "lose") == 0)
		return lose_descriptors(name);
	if (strcmp(what, "confined") == 0)
		return end_confined();
	if (strcmp(what, "once") == 0) {
		wait_once(name);
		return last_error == 0 ? say("ready") : fail("wait");
	}
	if (strcmp(what, "shortly") == 0) {
		wait_shortly(name);
		return last_error == ETIMEDOUT ? say("ready") : fail("wait");
	}
	if (strcmp(what, "interrupt") == 0)
		return interrupt(name);
	if (strcmp(what, "signals") == 0)
		return keep_signals(name);
	if (strcmp(what, "close-all") == 0)
		return close_all(name);
	if (strcmp(what, "descriptors") == 0)
		return run_out_of_descriptors(name, argc > 3 ? atoi(argv[3]) : 0);
	if (strcmp(what, "arguments") == 0)
		return check_arguments(name);
	if (strcmp(what, "line") == 0 && argc == 7)
		return stand_in_line(name, argv + 3);
	return 2;
}
