// SPDX-License-Identifier: MIT
// nudge FILE SECONDS: takes the flock on FILE again and again, as flock(1) would. Says "in beside PID" and ends with 9 when it got in
// although the file names a process that lives: nobody who respects the flock writes there meanwhile.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// The kernel's include/linux/sched.h; /proc has shown it in field 9 ever since.
enum { PF_EXITING = 4 };

static int is_at(int fd, const char *path)
{
	struct stat there, here;

	return fstat(fd, &here) == 0 && stat(path, &there) == 0 && there.st_ino == here.st_ino;
}

// Whether the process still runs. One that has begun to end gives up all it had.
static int lives(long pid)
{
	unsigned flags = PF_EXITING;
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		flags = PF_EXITING;
	fclose(file);
	return (flags & PF_EXITING) == 0;
}

static int look(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC), found = 0;
	long pid;

	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_at(fd, path) && read(fd, text, sizeof text - 1) > 0) {
		pid = atol(text);
		found = pid > 1 && pid != getpid() && lives(pid) && is_at(fd, path);
		if (found)
			printf("in beside %ld\n", pid);
	}
	close(fd);
	return found;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 0);

	puts("ready");
	fflush(stdout);
	while (time(NULL) < end && getppid() != 1) {
		if (look(argv[1]))
			return 9;
		// One that has the flock all the time is taken for a dead process' memory.
		usleep(50);
	}
	return 0;
}
