// SPDX-License-Identifier: MIT
// A plugin whose constructor waits, under the loader's lock, for a thread that asks the kernel through prctl() and syscall().
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *work(void *unused)
{
	prctl(PR_SET_NAME, "worker", 0, 0, 0);
	syscall(SYS_gettid);
	return unused;
}

__attribute__((constructor)) static void constructor(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, NULL) == 0)
		pthread_join(thread, NULL);
}
