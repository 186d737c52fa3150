// SPDX-License-Identifier: MIT
// api WHAT NAME [SECONDS]: does WHAT with libexclusivelock, and says how it went: "ready", or "refused" and errno's name. Then
// it goes on at SIGTERM. "small WHAT NAME [SECONDS]": the same in a thread with as little stack as there may be.
// A lock that is held until the process ends is what many cases are about.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
#include "apicase.h"

#include <errno.h>
#include <exclusivelock.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 200 };

static exclusivelock *demand(exclusivelock *lock)
{
	if (lock)
		return lock;
	printf("refused %s\n", strerrorname_np(errno));
	exit(3);
}

static int hold(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));

	say("ready");
	stay();
	errno = 77;
	exclusivelock_release(lock);
	say(errno == 77 ? "released" : "errno");
	stay();
	return 0;
}

static int again(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));

	if (exclusivelock_try(name) || errno != EALREADY || exclusivelock_holder(name) != getpid())
		return 4;
	exclusivelock_release(lock);
	if (exclusivelock_holder(name) != 0)
		return 5;
	exclusivelock_release(demand(exclusivelock_try(name)));
	exclusivelock_release(NULL);
	return 0;
}

static int queue(const char *name, double seconds)
{
	exclusivelock *lock = demand(exclusivelock_wait(name, seconds));

	say("ready");
	exclusivelock_release(lock);
	return 0;
}

// Waits, and keeps what it has got.
static int queue_and_hold(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_wait(name, 60));

	say("ready");
	stay();
	exclusivelock_release(lock);
	return 0;
}

static int forever(const char *name)
{
	exclusivelock_forever(demand(exclusivelock_try(name)));
	say("ready");
	stay();
	return 0;
}

// A child that is forked while the lock is held gives nothing back and takes nothing.
static int fork_child(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		int refused = !exclusivelock_try(name) && errno == EWOULDBLOCK;

		exclusivelock_release(lock);
		_exit(refused && exclusivelock_holder(name) == getppid() ? 0 : 6);
	}
	waitpid(child, &status, 0);
	say(status == 0 ? "ready" : "child");
	stay();
	exclusivelock_release(lock);
	return 0;
}

static void *queue_quietly(void *name)
{
	exclusivelock_release(exclusivelock_wait(name, 60));
	return NULL;
}

static bool has_default_action(void)
{
	struct sigaction action;

	return sigaction(SIGRTMAX, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

// A child that is forked while another thread waits has nothing of that wait: by fork(3), which calls handlers, or by the system call alone.
static int fork_while_waiting(char *name, bool raw)
{
	pthread_t waiter;
	pid_t child;

	pthread_create(&waiter, NULL, queue_quietly, name);
	// That one, the library's, and the one that is in the kernel's queue.
	while (count_threads() < 4)
		sched_yield();
	child = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
	if (child == 0) {
		if (!raw)
			say(has_default_action() ? "ready" : "handler");
		else
			(void)!write(STDOUT_FILENO, "ready\n", 6);
		pause();
		_exit(0);
	}
	pthread_join(waiter, NULL);
	say(!exclusivelock_try(name) ? "refused" : has_default_action() ? "again" : "handler");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static _Atomic bool over;

static void *wait_shortly(void *name)
{
	while (!over)
		exclusivelock_release(exclusivelock_wait(name, 0.01));
	return NULL;
}

// Children that are forked at any time of others' waits can wait themselves.
static int fork_all_the_time(char *name)
{
	pthread_t waiter;
	int failed = 0, status;

	pthread_create(&waiter, NULL, wait_shortly, name);
	for (int i = 0; i < ROUNDS / 10 && !failed; i++) {
		pid_t child = fork();

		if (child == 0) {
			alarm(30);
			_exit(exclusivelock_wait(name, 0.01) || errno != ETIMEDOUT || !has_default_action());
		}
		waitpid(child, &status, 0);
		failed = status;
	}
	over = true;
	pthread_join(waiter, NULL);
	say(failed ? "failed" : "ready");
	return failed != 0;
}

// Says how many bytes a lock has taken; those of others are never given back.
static int keep(const char *name)
{
	struct mallinfo2 before = mallinfo2();
	exclusivelock *lock = demand(exclusivelock_try(name));
	struct mallinfo2 after = mallinfo2();
	char other[64];

	exclusivelock_forever(lock);
	snprintf(other, sizeof(other), "%s-die", name);
	exclusivelock_die(other);
	printf("ready %ld %zu\n", (long)getpid(), after.uordblks - before.uordblks);
	return 0;
}

static int holder(const char *name)
{
	pid_t pid = exclusivelock_holder(name);

	printf("%ld %s\n", (long)pid, pid == -1 ? strerrorname_np(errno) : "");
	return 0;
}

static _Atomic int inside, wins, overlaps;

static void *compete(void *name)
{
	for (int round = 0; round < ROUNDS; round++) {
		exclusivelock *lock = round % 2 ? exclusivelock_wait(name, 0.001) : exclusivelock_try(name);

		if (!lock && errno != EALREADY && errno != EWOULDBLOCK && errno != ETIMEDOUT)
			overlaps++;
		if (!lock)
			continue;
		overlaps += inside++ != 0;
		wins++;
		inside--;
		exclusivelock_release(lock);
	}
	return NULL;
}

static void run_threads(void *(*function)(void *), char *const names[THREADS])
{
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, function, names[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static int threads(char *name)
{
	run_threads(compete, (char *[THREADS]){ name, name, name, name, name, name, name, name });
	printf("%d wins, %d overlaps\n", wins, overlaps);
	return wins == 0 || overlaps != 0;
}

static _Atomic int failures;

static void *wait_in_vain(void *name)
{
	for (int round = 0; round < ROUNDS / 10; round++)
		failures += exclusivelock_wait(name, 0.001) || errno != ETIMEDOUT;
	return NULL;
}

static void *take_often(void *name)
{
	for (int round = 0; round < ROUNDS / 10; round++) {
		exclusivelock *lock = exclusivelock_wait(name, 60);

		failures += !lock || exclusivelock_holder(name) != getpid();
		exclusivelock_release(lock);
	}
	return NULL;
}

// Each thread has a lock of its own. A child has all of them at first, and its parent's threads wait in vain; then they take them.
static int several(const char *name)
{
	char *names[THREADS];
	int ready[2];
	pid_t child;

	for (int i = 0; i < THREADS; i++)
		if (asprintf(&names[i], "%s%d", name, i) == -1)
			return 2;
	if (pipe(ready) == -1 || (child = fork()) == -1)
		return 2;
	if (child == 0) {
		for (int i = 0; i < THREADS; i++)
			(void)demand(exclusivelock_try(names[i]));
		close(ready[0]);
		close(ready[1]);
		stay();
		_exit(0);
	}
	close(ready[1]);
	(void)!read(ready[0], &(char){ 0 }, 1);
	run_threads(wait_in_vain, names);
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	run_threads(take_often, names);
	printf("%d failures\n", failures);
	return failures != 0;
}

static int run(int argc, char **argv);

struct call {
	int argc;
	char **argv;
	int result;
};

static void *run_call(void *context)
{
	struct call *call = context;

	call->result = run(call->argc, call->argv);
	return NULL;
}

static int run_on_small_stack(int argc, char **argv)
{
	struct call call = { .argc = argc - 1, .argv = argv + 1 };
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	if (pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) != 0 ||
	    pthread_create(&thread, &attributes, run_call, &call) != 0)
		return 2;
	pthread_join(thread, NULL);
	return call.result;
}

static int run(int argc, char **argv)
{
	char *name = argc > 2 && argv[2][0] ? argv[2] : NULL;
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "hold") == 0)
		return hold(name);
	if (strcmp(what, "again") == 0)
		return again(name);
	if (strcmp(what, "wait") == 0)
		return queue(name, argc > 3 ? atof(argv[3]) : -1);
	if (strcmp(what, "wait-hold") == 0)
		return queue_and_hold(name);
	if (strcmp(what, "forever") == 0)
		return forever(name);
	if (strcmp(what, "fork") == 0)
		return fork_child(name);
	if (strcmp(what, "fork-waiting") == 0)
		return fork_while_waiting(name, false);
	if (strcmp(what, "fork-raw-waiting") == 0)
		return fork_while_waiting(name, true);
	if (strcmp(what, "forks") == 0)
		return fork_all_the_time(name);
	if (strcmp(what, "keep") == 0)
		return keep(name);
	if (strcmp(what, "holder") == 0)
		return holder(name);
	if (strcmp(what, "die-twice") == 0)
		return exclusivelock_die(name), exclusivelock_die(name), 0;
	if (strcmp(what, "threads") == 0)
		return threads(name);
	if (strcmp(what, "several") == 0)
		return several(name);
	if (strcmp(what, "die") == 0)
		return exclusivelock_die(name), say("ready"), stay(), 0;
	if (strcmp(what, "exec") == 0)
		return demand(exclusivelock_try(name)), execv(argv[0], (char *[]){ argv[0], "hold", argv[2], NULL });
	return 2;
}

int main(int argc, char **argv)
{
	return argc > 2 && strcmp(argv[1], "small") == 0 ? run_on_small_stack(argc, argv) : run(argc, argv);
}
