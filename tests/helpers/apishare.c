// SPDX-License-Identifier: MIT
// apishare WHAT NAME: a lock of libexclusivelock in processes that drop privileges, fork and become daemons, and in threads that are
// cancelled. Says what it finds, a word a line; the last one, if nothing is wrong, is "ready". Then it stays until SIGTERM.
// A lock that is held until the process ends is what many cases are about.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
#include "apicase.h"

#include <errno.h>
#include <exclusivelock.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static exclusivelock *demand(exclusivelock *lock)
{
	return lock ? lock : (fail("not taken"), NULL);
}

static void release(exclusivelock *lock)
{
	if (exclusivelock_release(lock) != 0)
		fail("not released");
}

static void end_with_word(const char *word)
{
	say(word);
	stay();
}

static void become_user(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));

	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		fail("setuid");
	release(lock);
	end_with_word("ready");
}

static void become_user_for_a_moment(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));

	if (seteuid(NOBODY))
		fail("seteuid");
	release(lock);
	if (seteuid(0))
		fail("seteuid back");
	release(demand(exclusivelock_try(name)));
	end_with_word("ready");
}

// Takes away what the library would write to.
static void unmap_readable(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "py_exclusivelock_") && strstr(line, "r--s") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			munmap((void *)from, to - from);
	if (maps)
		fclose(maps);
}

// What cannot be given back is still held, and can be given back later.
static void fail_to_release(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));

	unmap_readable();
	if (seteuid(NOBODY))
		fail("seteuid");
	if (exclusivelock_release(lock) != -1 || errno != EACCES)
		fail("released");
	if (seteuid(0))
		fail("seteuid back");
	say("holding");
	stay();
	release(lock);
	end_with_word("ready");
}

static void change_root(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));

	if (chroot("/proc") || chdir("/"))
		fail("chroot");
	release(lock);
	end_with_word("ready");
}

static pid_t begin_child(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == -1)
		fail("fork");
	return child;
}

static void await(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status != 0) {
		printf("child: %d\n", status);
		_exit(3);
	}
}

// A server's master takes the lock, its worker gives its share back at once; later the master gives it back, and takes it again.
static void prefork(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));
	int released[2], over[2];
	pid_t worker;

	if (pipe(released) || pipe(over))
		fail("pipe");
	worker = begin_child();
	if (worker == 0) {
		close(over[1]);
		release(lock);
		if (exclusivelock_try(name) || errno != EWOULDBLOCK || exclusivelock_holder(name) != getppid())
			fail("the worker's try");
		close(released[1]);
		(void)!read(over[0], &(char){ 0 }, 1);
		_exit(0);
	}
	close(released[1]);
	(void)!read(released[0], &(char){ 0 }, 1);
	if (exclusivelock_holder(name) != getpid())
		fail("the master is not the holder any more");
	release(lock);
	if (exclusivelock_holder(name) != 0)
		fail("still held");
	(void)demand(exclusivelock_try(name));
	close(over[1]);
	await(worker);
	end_with_word("ready");
}

// The worker keeps its share: the lock is its own once the master has released it.
static void keep_in_child(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));
	int over[2];
	pid_t worker;

	if (pipe(over))
		fail("pipe");
	worker = begin_child();
	if (worker == 0) {
		close(over[1]);
		(void)!read(over[0], &(char){ 0 }, 1);
		if (exclusivelock_try(name) || errno != EALREADY || exclusivelock_holder(name) != getpid())
			fail("the worker's own");
		release(lock);
		if (exclusivelock_holder(name) != 0)
			fail("still held");
		_exit(0);
	}
	release(lock);
	if (exclusivelock_holder(name) != worker || exclusivelock_try(name) || errno != EWOULDBLOCK)
		fail("the worker does not hold");
	close(over[1]);
	await(worker);
	release(demand(exclusivelock_try(name)));
	end_with_word("ready");
}

// A child cannot wait for what it has a share of itself.
static void wait_in_child(const char *name)
{
	exclusivelock *lock = demand(exclusivelock_try(name));
	pid_t child = begin_child();

	if (child == 0) {
		if (exclusivelock_wait(name, 60) || errno != EDEADLK)
			fail("waits for itself");
		release(lock);
		if (exclusivelock_wait(name, 0.01) || errno != ETIMEDOUT)
			fail("the child's wait");
		_exit(0);
	}
	await(child);
	end_with_word("ready");
}

// By daemon(3), whose parent ends without exit(3); by a parent that ends by exit(3); by one that is killed.
static void make_daemon(const char *how)
{
	pid_t child;

	if (strcmp(how, "daemon") == 0) {
		if (daemon(1, 1))
			fail("daemon");
		return;
	}
	child = begin_child();
	if (child == 0) {
		setsid();
		return;
	}
	if (strcmp(how, "exit") == 0)
		exit(0);
	kill(getpid(), SIGKILL);
}

// On a busy machine a parent may take its time to end.
static void await_end_of(pid_t parent)
{
	while (getppid() == parent)
		usleep(1000);
}

static void know_own(const char *name, const char *how)
{
	exclusivelock *lock = demand(exclusivelock_try(name));
	pid_t parent = getpid();

	make_daemon(how);
	await_end_of(parent);
	if (exclusivelock_holder(name) != getpid())
		fail("not the holder");
	if (exclusivelock_try(name) || errno != EALREADY)
		fail("try");
	say("holding");
	stay();
	release(lock);
	if (exclusivelock_holder(name) != 0)
		fail("still held");
	end_with_word("ready");
}

static void leave_scope_in(const char *name, const char *how)
{
	EXCLUSIVELOCK_SCOPE(lock, name);
	if (!lock)
		fail("scope");
	make_daemon(how);
}

static void scope_in_daemon(const char *name, const char *how)
{
	pid_t parent = getpid();

	leave_scope_in(name, how);
	await_end_of(parent);
	release(demand(exclusivelock_try(name)));
	end_with_word("ready");
}

static exclusivelock *theirs;

static void *try_cancelled(void *name)
{
	pthread_cancel(pthread_self());
	theirs = exclusivelock_try(name);
	pthread_testcancel();
	return NULL;
}

static void *release_cancelled(void *unused)
{
	(void)unused;
	pthread_cancel(pthread_self());
	release(theirs);
	theirs = NULL;
	pthread_testcancel();
	return NULL;
}

static void *wait_cancelled(void *name)
{
	theirs = exclusivelock_wait(name, -1);
	return NULL;
}

static void run_cancelled(void *(*function)(void *), char *name, bool from_outside)
{
	pthread_t thread;
	void *end;

	pthread_create(&thread, NULL, function, name);
	if (from_outside)
		pthread_cancel(thread);
	pthread_join(thread, &end);
	if (end != PTHREAD_CANCELED)
		fail("was not cancelled");
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		count += access(path, F_OK) == 0;
	}
	return count;
}

// Another process holds, and goes on to. What was cancelled must leave the name as it was.
static void cancel_waits(char *name)
{
	int before = count_descriptors();

	for (int i = 0; i < 20; i++)
		run_cancelled(wait_cancelled, name, true);
	if (count_descriptors() != before)
		fail("descriptors");
	if (exclusivelock_try(name) || errno != EWOULDBLOCK)
		fail("try");
	say("waiting");
	release(demand(exclusivelock_wait(name, 60)));
	end_with_word("ready");
}

static void cancel_others(char *name)
{
	run_cancelled(try_cancelled, name, false);
	if (!theirs || exclusivelock_holder(name) != getpid())
		fail("try was cut");
	run_cancelled(release_cancelled, NULL, false);
	if (theirs || exclusivelock_holder(name) != 0)
		fail("release was cut");
	theirs = demand(exclusivelock_try(name));
	release(theirs);
	end_with_word("ready");
}

// In a session of its own, a child whose parent goes on asks again and again.
static void ask_in_session(const char *name)
{
	exclusivelock *lock = exclusivelock_try(name);
	pid_t child = fork();

	if (child == 0) {
		setsid();
		for (int i = 0; i < 10; i++)
			if (exclusivelock_holder(name) != getppid())
				fail("holder");
		if (exclusivelock_release(lock) != 0)
			fail("release");
		_exit(0);
	}
	if (waitpid(child, NULL, 0) == child)
		say("ready");
}

static void *wait_and_release(void *name)
{
	release(demand(exclusivelock_wait(name, 60)));
	return NULL;
}

// One thread waits, and another drops the privileges of all.
static void become_user_in_wait(char *name)
{
	struct stat tasks;
	pthread_t waiter;

	if (pthread_create(&waiter, NULL, wait_and_release, name) != 0)
		fail("thread");
	// The library has two more for that.
	while (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink < 2 + 4)
		sched_yield();
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		fail("setuid");
	say("waiting");
	pthread_join(waiter, NULL);
	end_with_word("ready");
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "", *how = argc > 3 ? argv[3] : "";
	char *name = argv[2];

	if (strcmp(what, "setuid") == 0)
		become_user(name);
	else if (strcmp(what, "seteuid") == 0)
		become_user_for_a_moment(name);
	else if (strcmp(what, "fail") == 0)
		fail_to_release(name);
	else if (strcmp(what, "chroot") == 0)
		change_root(name);
	else if (strcmp(what, "prefork") == 0)
		prefork(name);
	else if (strcmp(what, "keep-in-child") == 0)
		keep_in_child(name);
	else if (strcmp(what, "wait-in-child") == 0)
		wait_in_child(name);
	else if (strcmp(what, "setuid-in-wait") == 0)
		become_user_in_wait(argv[2]);
	else if (strcmp(what, "session") == 0)
		ask_in_session(name);
	else if (strcmp(what, "own") == 0)
		know_own(name, how);
	else if (strcmp(what, "scope") == 0)
		scope_in_daemon(name, how);
	else if (strcmp(what, "cancel-waits") == 0)
		cancel_waits(name);
	else if (strcmp(what, "cancel") == 0)
		cancel_others(name);
	else
		return 2;
	return 0;
}
