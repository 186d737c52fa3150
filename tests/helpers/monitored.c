// SPDX-License-Identifier: MIT
// Starts itself COUNT times under SHIM, one after the other, while monitors read the newest one's smaps_rollup:
// monitored exit|kill|worker COUNT SHIM. "worker": it is a worker forked from it that they read, and that is killed just before
// the program leaves by exit(); by what the monitors do it loses the flock before its other files.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "term.h"

enum { MONITORS = 2, SIZE = 32 << 20, WORKER_SIZE = 8 << 20, SLOW_SIZE = 64 << 20 };

// A reader of smaps_rollup keeps the memory of a dead process, and so its mappings, until it has read it all.
static void monitor(const volatile pid_t *target, volatile pid_t *read_last)
{
	char path[64], line[4096];

	for (;;) {
		pid_t pid = *target;
		int file;

		snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
		file = open(path, O_RDONLY);
		while (file >= 0 && read(file, line, sizeof(line)) > 0)
			;
		if (file >= 0)
			close(file);
		*read_last = pid;
	}
}

// So many small pages that reading its maps takes a process' end, or the next start, at least as long.
static void have_memory(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(2);
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 1, size);
}

// The guarded program.
static int live(const char *how)
{
	have_memory(SIZE);
	dprintf(STDOUT_FILENO, "ready\n");
	if (strcmp(how, "kill") == 0)
		pause();
	return 0;
}

// To close this one takes the kernel longer than the next start.
static void have_slow_file(void)
{
	int file = memfd_create("slow", 0);

	if (file < 0 || posix_fallocate(file, 0, SLOW_SIZE) != 0)
		_exit(2);
}

// What every worker has locked until it is gone: its descriptor, or -1.
static int lock_file(void)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0 ? file : -1;
}

// The guarded program with a worker. Says nothing where a predecessor's worker is left.
static int live_with_worker(void)
{
	pid_t worker;

	if (close(lock_file()) != 0)
		return 2;
	block_term();
	worker = fork();
	if (worker != 0) {
		await_term();
		return worker < 0 ? 2 : 0;
	}
	(void)lock_file();
	have_memory(WORKER_SIZE);
	have_slow_file();
	dprintf(STDOUT_FILENO, "%ld\n", (long)getpid());
	for (;;)
		pause();
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

// The processes whose memory is read, and was read last, in memory that the monitors share.
struct readers {
	volatile pid_t target, last[MONITORS];
};

// Ends PROGRAM, and its worker just before it.
static void bereave(pid_t program, pid_t worker, struct readers *readers)
{
	readers->target = worker;
	for (int i = 0; i < MONITORS; i++)
		while (readers->last[i] != worker)
			usleep(100);
	kill(worker, SIGKILL);
	kill(program, SIGTERM);
}

int main(int argc, char **argv)
{
	struct readers *readers;
	int count, i, bad = 0;

	if (argc == 3)
		return strcmp(argv[2], "worker") == 0 ? live_with_worker() : live(argv[2]);
	if (argc != 4)
		return 2;
	count = atoi(argv[2]);
	readers = mmap(NULL, sizeof(*readers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	readers->target = getpid();
	for (i = 0; i < MONITORS; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			monitor(&readers->target, &readers->last[i]);
		}
	for (i = 0; i < count; i++) {
		int output[2], status;
		pid_t child = start(argv[1], argv[3], output);
		char line[32] = "";

		if (strcmp(argv[1], "worker") != 0)
			readers->target = child;
		bad += read(output[0], line, sizeof(line) - 1) < 1;
		if (strcmp(argv[1], "kill") == 0)
			kill(child, SIGKILL);
		if (strcmp(argv[1], "worker") == 0 && *line)
			bereave(child, (pid_t)atol(line), readers);
		waitpid(child, &status, 0);
		close(output[0]);
	}
	printf("%d of %d did not start\n", bad, count);
	return bad != 0;
}
