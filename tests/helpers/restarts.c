// SPDX-License-Identifier: MIT
// restarts SHIM COUNT MEGABYTES BUSY READERS: starts a program of so much memory under SHIM, kills it, and starts it again as soon as the
// kernel has told of its end, COUNT times. Meanwhile so many endless loops keep the processors busy, and so many readers of low priority
// read what pins a dying process' memory, and with it the flock. Prints how many of the starts were refused; 0 if none was.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t *target;		// the program, for the readers

// The guarded program: says that it has got in, and waits to be killed.
static int hold(size_t megabytes)
{
	static char *memory;

	memory = malloc(megabytes << 20);
	if (!memory)
		return 99;
	memset(memory, 1, megabytes << 20);
	if (write(STDOUT_FILENO, "in", 2) != 2)
		return 99;
	pause();
	return memory[0];
}

static void read_file(const char *name)
{
	char path[64], text[4096];
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)*target, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && read(fd, text, sizeof text) > 0)
		;
	if (fd >= 0)
		close(fd);
}

__attribute__((noreturn)) static void work(int reads)
{
	volatile unsigned long count = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (reads)
		setpriority(PRIO_PROCESS, 0, 19);
	for (;;) {
		if (reads) {
			read_file("smaps_rollup");
			read_file("cmdline");
			read_file("environ");
		}
		count++;
	}
}

static void start_workers(int count, int reads)
{
	while (count-- > 0) {
		pid_t child = fork();

		if (child == 0)
			work(reads);
		if (child < 0)
			exit(99);
	}
}

static pid_t start_program(char **argv, const char *shim, int *from)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0)
		exit(99);
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		setenv("LD_PRELOAD", shim, 1);
		execv("/proc/self/exe", argv);
		_exit(99);
	}
	close(ends[1]);
	*from = ends[0];
	return child;
}

// Returns whether the program got in.
static int restart(char **argv, const char *shim)
{
	char said[2];
	int from, got_in;
	pid_t child = start_program(argv, shim, &from);

	got_in = read(from, said, sizeof said) > 0;
	close(from);
	if (got_in) {
		*target = child;
		// The readers are to be in the middle of it.
		usleep(3000);
		kill(child, SIGKILL);
	}
	return waitpid(child, NULL, 0) == child && got_in;
}

int main(int argc, char **argv)
{
	char *again[] = { argv[0], (char[]){ "hold" }, argv[3], NULL };
	int count = argc == 6 ? atoi(argv[2]) : 0, refused = 0;

	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold((size_t)atol(argv[2]));
	target = mmap(NULL, sizeof *target, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (count <= 0 || target == MAP_FAILED)
		return 99;
	*target = getpid();
	start_workers(atoi(argv[4]), 0);
	start_workers(atoi(argv[5]), 1);
	for (int i = 0; i < count; i++)
		refused += !restart(again, argv[1]);
	printf("%d of %d restarts were refused\n", refused, count);
	return refused > 0;
}
