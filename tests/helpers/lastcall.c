// SPDX-License-Identifier: MIT
// lastcall [_Exit] HOW: ends with 7 by _exit(), or _Exit(), with a line that stdio has not written yet.
// plain; thread: a second thread does; threads: ten do at once.
// forked, vforked, shared: a child by fork(), vfork() or clone(CLONE_VM) ends so first. It prints whether the lock file then is as it was.
// orphan: a child does whose own parent, another child, has ended. filtered: under a filter that lets nothing else through. handled: SIGTERM
// makes the program end with 8. stays: leaves a forked child that says "ready PID" and goes on until SIGTERM.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#include "filter.h"
#include "term.h"

enum { STATUS = 7, OTHER_STATUS = 8, THREADS = 10 };

static void (*end)(int status) = _exit;
static pthread_barrier_t all_there;

static void *end_here(void *together)
{
	if (together)
		pthread_barrier_wait(&all_there);
	end(STATUS);
	return NULL;
}

static void begin_thread(void *together)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, end_here, together) != 0)
		exit(99);
}

static void end_by_threads(int count)
{
	pthread_barrier_init(&all_there, NULL, (unsigned)count);
	for (int i = 0; i < count; i++)
		begin_thread(count > 1 ? &all_there : NULL);
	for (;;)
		pause();
}

static int end_shared(void *unused)
{
	(void)unused;
	end(0);
	return 0;
}

static void end_orphaned(void)
{
	pid_t parent = getpid();

	if (fork() != 0)
		end(0);
	while (getppid() == parent)
		usleep(1000);
	end(0);
}

static pid_t begin_child(const char *how)
{
	static char stack[65536];
	pid_t child;

	if (strcmp(how, "shared") == 0)
		return clone(end_shared, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (strcmp(how, "vforked") == 0) {
		child = vfork();	// NOLINT(clang-analyzer-security.insecureAPI.vfork): that is what is tried
		if (child == 0)
			end(0);	// NOLINT(clang-analyzer-unix.Vfork): it is _exit()
		return child;
	}
	child = fork();
	if (child == 0 && strcmp(how, "orphan") == 0)
		end_orphaned();
	if (child == 0)
		end(0);
	return child;
}

static long read_holder(const char *path)
{
	long holder = -1;
	FILE *file = fopen(path, "r");

	if (file && fscanf(file, "%ld", &holder) != 1)
		holder = -1;
	if (file)
		fclose(file);
	return holder;
}

static void show_after_child(const char *how)
{
	const char *path = getenv("EXCLUSIVELOCK_LOCKFILE");
	int gone[2];
	char byte;
	pid_t child;

	if (pipe(gone) == -1 || (child = begin_child(how)) == -1)
		exit(98);
	close(gone[1]);
	// Until all who may write have ended.
	(void)!read(gone[0], &byte, 1);
	waitpid(child, NULL, __WALL);
	if (path)
		printf("%s\n", read_holder(path) == (long)getpid() ? "held" : "lost");
	fflush(stdout);
}

static void leave_child(void)
{
	int ready[2];
	char byte;

	block_term();
	if (pipe(ready) == -1)
		exit(97);
	if (fork() == 0) {
		close(ready[0]);
		printf("ready %ld\n", (long)getpid());
		fflush(stdout);
		close(ready[1]);
		await_term();
		end(0);
	}
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
}

static void end_otherwise(int signal)
{
	(void)signal;
	end(OTHER_STATUS);
}

int main(int argc, char **argv)
{
	const char *how = argv[argc - 1];
	const long allowed[] = { SYS_exit_group };

	if (argc > 2)
		end = _Exit;
	if (strcmp(how, "forked") == 0 || strcmp(how, "vforked") == 0 || strcmp(how, "shared") == 0 || strcmp(how, "orphan") == 0)
		show_after_child(how);
	if (strcmp(how, "stays") == 0)
		leave_child();
	printf("a line that is lost\n");
	if (strcmp(how, "thread") == 0)
		end_by_threads(1);
	if (strcmp(how, "threads") == 0)
		end_by_threads(THREADS);
	if (strcmp(how, "handled") == 0)
		signal(SIGTERM, end_otherwise);
	if (strcmp(how, "filtered") == 0 && set_filter(allowed, 1, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, 0) == -1)
		return 96;
	end(STATUS);
}
