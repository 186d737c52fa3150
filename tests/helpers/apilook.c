// SPDX-License-Identifier: MIT
// apilook WHAT NAME [DIRECTORY [SECONDS]]: what libexclusivelock tells of a lock, and its options. Says how it went, in words.
// A lock that is held until the process ends is what many cases are about.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
#include "apicase.h"

#include <errno.h>
#include <exclusivelock.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int refused(void)
{
	printf("refused %s\n", strerrorname_np(errno));
	fflush(stdout);
	return 3;
}

static struct exclusivelock_options options_of(char **argv)
{
	struct exclusivelock_options options = { .size = sizeof(options), .directory = argv[0] && argv[0][0] ? argv[0] : NULL };

	if (argv[0] && argv[1])
		options.patience = strtod(argv[1], NULL);
	return options;
}

static int info(const char *name, char **argv)
{
	struct exclusivelock_options options = options_of(argv);
	struct exclusivelock_status known = { .size = sizeof(known), .waiting = 77, .command = "garbage" };

	errno = 77;
	if (exclusivelock_info(name, &options, &known) == -1)
		return refused();
	printf("%ld %ld %lld %d %s%s\n", (long)known.pid, (long)(int)known.user, (long long)known.since, known.waiting, known.command,
	       errno == 77 ? "" : " errno");
	return 0;
}

static int hold(const char *name, char **argv)
{
	struct exclusivelock_options options = options_of(argv);

	EXCLUSIVELOCK_SCOPE_OF(lock, exclusivelock_open(name, &options));
	if (!lock)
		return refused();
	say(exclusivelock_path(lock));
	stay();
	return 0;
}

static int scope_wait(const char *name, char **argv)
{
	EXCLUSIVELOCK_SCOPE_WAIT(lock, name, strtod(argv[1], NULL));
	return lock ? say("ready") : refused();
}

static int scope_or_die(const char *name)
{
	{
		EXCLUSIVELOCK_SCOPE_OR_DIE(lock, name);
		if (exclusivelock_holder(name) != getpid() || !exclusivelock_path(lock))
			return 4;
	}
	return exclusivelock_holder(name) == 0 ? say("ready") : 5;
}

// Structs of other versions.
static int sizes(const char *name)
{
	struct {
		struct exclusivelock_options options;
		char more[64];
	} options = { .options.size = sizeof(options) };
	struct {
		struct exclusivelock_status info;
		char more[64];
	} known = { .info.size = sizeof(known), .more = "garbage" };
	exclusivelock *lock = exclusivelock_open(name, &options.options);

	if (!lock)
		return refused();
	if (exclusivelock_info(name, &options.options, &known.info) != 0 || known.more[0] != 0 || known.info.pid != getpid())
		return 4;
	exclusivelock_release(lock);
	options.more[63] = 1;
	if (exclusivelock_open(name, &options.options) || errno != E2BIG)
		return 5;
	options.options.size = sizeof(options.options) - 1;
	if (exclusivelock_open(name, &options.options) || errno != EINVAL)
		return 6;
	known.info.size = 0;
	if (exclusivelock_info(name, NULL, &known.info) != -1 || errno != EINVAL)
		return 7;
	return say("ready");
}

static void *return_at_once(void *unused)
{
	return unused;
}

// A sanitizer's own thread, which comes with the first one, counts each time.
static int count_left_threads(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, return_at_once, NULL) == 0)
		pthread_join(thread, NULL);
	return count_threads();
}

static int watched(const char *name, char **argv)
{
	struct exclusivelock_options options = options_of(argv);
	int fd;

	errno = 77;
	fd = exclusivelock_watch(name, &options);
	if (fd == -1)
		return refused(), -1;
	if (errno != 77 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		say("errno");
	return fd;
}

static int watch(const char *name, char **argv)
{
	int before = count_left_threads();
	struct pollfd file = { .fd = watched(name, argv), .events = POLLIN };

	if (file.fd == -1)
		return 3;
	if (poll(&file, 1, 0) == 0)
		say("held");
	if (poll(&file, 1, -1) != 1 || poll(&file, 1, 0) != 1)
		return 4;
	say("free");
	while (count_left_threads() > before)
		sched_yield();
	close(file.fd);
	return 0;
}

// A descriptor that is closed is all that there was of the watch, for as many as there were.
static int watch_in_vain(const char *name, char **argv)
{
	int before = count_left_threads(), first = watched(name, argv), other;

	for (int i = 0; i < 20; i++) {
		other = watched(name, argv);
		if (other == -1)
			return 3;
		close(other);
	}
	while (count_left_threads() > before + 1)
		sched_yield();
	close(first);
	while (count_left_threads() > before)
		sched_yield();
	return say(dup(0) == first ? "ready" : "descriptors");
}

// Watches what it holds itself.
static int watch_own(const char *name, char **argv)
{
	exclusivelock *lock = exclusivelock_try(name);
	struct pollfd file = { .fd = watched(name, argv), .events = POLLIN };
	int held = poll(&file, 1, 0) == 0;

	exclusivelock_release(lock);
	return lock && held && poll(&file, 1, -1) == 1 ? say("ready") : 4;
}

// The child tells of its parent's end.
static int watch_in_child(const char *name, char **argv)
{
	struct pollfd file = { .fd = watched(name, argv), .events = POLLIN };

	fflush(stdout);
	if (fork() == 0) {
		say(poll(&file, 1, 0) == 0 ? "held" : "free");
		poll(&file, 1, -1);
		return say("readable");
	}
	stay();
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 2 && argv[2][0] ? argv[2] : NULL;
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "info") == 0)
		return info(name, argv + 3);
	if (strcmp(what, "hold") == 0)
		return hold(name, argv + 3);
	if (strcmp(what, "scope-wait") == 0)
		return scope_wait(name, argv + 3);
	if (strcmp(what, "scope-or-die") == 0)
		return scope_or_die(name);
	if (strcmp(what, "sizes") == 0)
		return sizes(name);
	if (strcmp(what, "watch") == 0)
		return watch(name, argv + 3);
	if (strcmp(what, "watch-in-vain") == 0)
		return watch_in_vain(name, argv + 3);
	if (strcmp(what, "watch-own") == 0)
		return watch_own(name, argv + 3);
	if (strcmp(what, "watch-in-child") == 0)
		return watch_in_child(name, argv + 3);
	return 2;
}
