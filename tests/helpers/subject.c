// SPDX-License-Identifier: MIT
// subject FOLDER ACTION: the program under test, and those beside it. Takes a lock of its own in FOLDER when it is in main,
// and counts there whether it found somebody. Says "out" by a buffer that is written at the very end, and ends with RAN.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faulty.h"

static struct board *board;
static const char *self, *folder;

static int open_in_folder(const char *name)
{
	char path[PATHS_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		_exit(BROKEN);
	return fd;
}

// In main, as the only one.
static void enter(void)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_in_folder("inside");

	if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
		board->overlaps++;
	if (getenv("EXCLUSIVELOCK_HELD"))
		board->flagged = 1;
}

static void mark(void)
{
	board->entered++;
	(void)getpgid(MARK);
}

static void await_end_of_input(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static int say(void)
{
	puts("out");
	return RAN;
}

static void call(const char *action)
{
	execl(self, self, folder, action, (char *)NULL);
	_exit(BROKEN);
}

static int result_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return BROKEN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int with_child(const char *action)
{
	pid_t child = fork();

	if (child != 0)
		return result_of(child);
	if (strcmp(action, "worker") == 0) {
		mark();
		exit(say());
	}
	if (strcmp(action, "lost") == 0) {
		unsetenv("EXCLUSIVELOCK_INSTANCE");
		unsetenv("EXCLUSIVELOCK_LOCKFILE");
		unsetenv("EXCLUSIVELOCK_PID");
	}
	call("passed");
	return BROKEN;
}

// A daemon's parent ends, by exit().
static int leave_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		await_end_of_input();
		_exit(0);
	}
	mark();
	return child < 0 ? BROKEN : say();
}

static int be_last(void)
{
	pid_t parent = getpid();

	if (fork() != 0)
		return 0;
	while (getppid() == parent)
		usleep(100);
	mark();
	return say();
}

int main(int argc, char **argv)
{
	const char *action = argc == 3 ? argv[2] : "";

	self = argv[0];
	folder = argv[1];
	if (!*action)
		return BROKEN;
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, open_in_folder("board"), 0);
	if (board == MAP_FAILED)
		return BROKEN;
	if (strcmp(action, "again") == 0)
		call("run");
	if (strcmp(action, "passed") != 0)
		enter();
	if (strcmp(action, "rival") == 0) {
		board->rival_entered++;
		await_end_of_input();
		return RAN;
	}
	if (strcmp(action, "leave") == 0)
		return leave_child();
	if (strcmp(action, "last") == 0)
		return be_last();
	if (strcmp(action, "worker") == 0 || strcmp(action, "child") == 0 || strcmp(action, "lost") == 0)
		return with_child(action);
	mark();
	if (strcmp(action, "hold") == 0) {
		await_end_of_input();
		puts("bye");
		return 0;
	}
	return say();
}
