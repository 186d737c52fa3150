// SPDX-License-Identifier: MIT
// Starts itself COUNT times under SHIM, one after the other, while monitors read the newest one's smaps_rollup: monitored exit|kill COUNT SHIM
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MONITORS = 2, SIZE = 32 << 20 };

// A reader of smaps_rollup keeps the memory of a dead process, and so its mappings, until it has read it all.
static void monitor(const volatile pid_t *target)
{
	char path[64], line[4096];

	for (;;) {
		int file;

		snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)*target);
		file = open(path, O_RDONLY);
		while (file >= 0 && read(file, line, sizeof(line)) > 0)
			;
		if (file >= 0)
			close(file);
	}
}

// The guarded program: so many small pages that reading its maps takes longer than the next start does.
static int live(const char *how)
{
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 2;
	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	memset(memory, 1, SIZE);
	dprintf(STDOUT_FILENO, "ready\n");
	if (strcmp(how, "kill") == 0)
		pause();
	return 0;
}

static pid_t start(const char *how, const char *shim, int output[2])
{
	pid_t child;

	if (pipe(output) != 0)
		exit(2);
	child = fork();
	if (child == 0) {
		dup2(output[1], STDOUT_FILENO);
		close(output[0]);
		close(output[1]);
		setenv("LD_PRELOAD", shim, 1);
		execl("/proc/self/exe", "monitored", "live", how, (char *)NULL);
		_exit(99);
	}
	close(output[1]);
	return child;
}

int main(int argc, char **argv)
{
	pid_t *target;
	int count, i, bad = 0;

	if (argc == 3)
		return live(argv[2]);
	if (argc != 4)
		return 2;
	count = atoi(argv[2]);
	target = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*target = getpid();
	for (i = 0; i < MONITORS; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			monitor(target);
		}
	for (i = 0; i < count; i++) {
		int output[2], status;
		char byte;
		ssize_t got;

		*target = start(argv[1], argv[3], output);
		got = read(output[0], &byte, 1);
		if (strcmp(argv[1], "kill") == 0)
			kill(*target, SIGKILL);
		waitpid(*target, &status, 0);
		close(output[0]);
		if (got != 1)
			bad++;
	}
	printf("%d of %d did not start\n", bad, count);
	return bad != 0;
}
