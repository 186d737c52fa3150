// SPDX-License-Identifier: MIT
// pins PID: reads the command line of process PID as slowly as can be, says "ready", and goes on until it is ended. Whoever reads so
// keeps the process' memory, and the mappings in it, beyond its death: ps(1) does on a busy machine. Needs userfaultfd(2).
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *page;
static int file;

static void *read_slowly(void *unused)
{
	(void)unused;
	if (read(file, page, 1) == -1)
		perror("read");
	return NULL;
}

int main(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg message;
	int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t reader;
	char path[64];

	if (argc != 2 || faults == -1 || ioctl(faults, UFFDIO_API, &api) == -1)
		return 77;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area.range.start = (uintptr_t)page;
	area.range.len = 4096;
	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", atoi(argv[1]));
	file = open(path, O_RDONLY);
	if (page == MAP_FAILED || file == -1 || ioctl(faults, UFFDIO_REGISTER, &area) == -1 ||
	    pthread_create(&reader, NULL, read_slowly, NULL) != 0 || read(faults, &message, sizeof(message)) != sizeof(message))
		return 1;
	printf("ready %ld\n", (long)getpid());
	(void)fflush(stdout);
	pause();
	return 0;
}
