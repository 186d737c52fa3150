// SPDX-License-Identifier: MIT
// depth FILE SIZE HOW [WHO]: ends with 7 on a stack of SIZE bytes, by exit(), or HOW=quick_exit, HOW=_exit; or on an alternate one, in a
// handler of SIGSEGV's, by exit(), HOW=handler, or by _exit(), HOW=handler_exit. FILE becomes the memory of that stack, so that it can be seen from outside which bytes of it were written: it is
// full of 0xa5 before. WHO=child leaves a child that goes on, which says "ready"; WHO=ended: a child has ended before; WHO=asked: it says
// "ready" and ends when it is told to by a line of its standard input.
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAINT = 0xa5, STATUS = 7 };

static void (*end_with)(int status) = exit;

static void end(void)
{
	end_with(STATUS);
}

static void handle(int signal)
{
	(void)signal;
	end();
}

static char *make_stack(const char *path, size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	char *stack = mmap(NULL, size + 2 * (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	// Between two pages that nobody may touch.
	if (stack == MAP_FAILED || fd == -1 || ftruncate(fd, (off_t)size) == -1 ||
	    mmap(stack + page, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		exit(2);
	close(fd);
	return memset(stack + page, PAINT, size);
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void fork_child(bool stays)
{
	int ready[2];
	pid_t child;

	if (pipe(ready) == -1 || (child = fork()) == -1)
		exit(2);
	if (child == 0) {
		if (!stays)
			_exit(0);
		say_ready();
		close(ready[0]);
		close(ready[1]);
		pause();
	}
	close(ready[1]);
	(void)!read(ready[0], &child, 1);
	if (!stays)
		waitpid(child, NULL, 0);
}

static void prepare(const char *who)
{
	if (strcmp(who, "asked") != 0) {
		fork_child(strcmp(who, "child") == 0);
		return;
	}
	say_ready();
	(void)getchar();
}

static void end_in_handler(void *stack, size_t size)
{
	stack_t alternate = { .ss_sp = stack, .ss_size = size };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };

	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &action, NULL);
	raise(SIGSEGV);
}

int main(int argc, char **argv)
{
	ucontext_t context, before;
	size_t size;
	char *stack;

	if (argc < 4)
		return 2;
	size = strtoul(argv[2], NULL, 10);
	stack = make_stack(argv[1], size);
	if (strcmp(argv[3], "quick_exit") == 0)
		end_with = quick_exit;
	if (strstr(argv[3], "_exit") && strcmp(argv[3], "quick_exit") != 0)
		end_with = _exit;
	if (argc > 4)
		prepare(argv[4]);
	puts("output that stdio still has");
	if (strncmp(argv[3], "handler", 7) == 0)
		end_in_handler(stack, size);
	getcontext(&context);
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = size;
	context.uc_link = &before;
	makecontext(&context, end, 0);
	swapcontext(&before, &context);
	return 3;
}
