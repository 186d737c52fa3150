// SPDX-License-Identifier: MIT
// leave exit|_exit|quick_exit|abort|thread|last-thread: ends the way named. "thread": a second thread calls exit().
// "last-thread": main ends by pthread_exit(), a second thread says "ready PID" and goes on until SIGTERM.
#include <pthread.h>
#include <string.h>

#include "term.h"

static void *call_exit(void *unused)
{
	(void)unused;
	exit(0);
}

static void *go_on(void *main_thread)
{
	pthread_join(*(pthread_t *)main_thread, NULL);
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	await_term();
	return NULL;
}

int main(int argc, char **argv)
{
	static pthread_t self;
	pthread_t second;

	if (argc != 2)
		return 99;
	if (strcmp(argv[1], "_exit") == 0)
		_exit(0);
	if (strcmp(argv[1], "quick_exit") == 0)
		quick_exit(0);
	if (strcmp(argv[1], "abort") == 0)
		abort();
	if (strcmp(argv[1], "thread") == 0) {
		if (pthread_create(&second, NULL, call_exit, NULL) != 0)
			return 99;
		for (;;)
			pause();
	}
	if (strcmp(argv[1], "last-thread") == 0) {
		block_term();
		self = pthread_self();
		if (pthread_create(&second, NULL, go_on, &self) != 0)
			return 99;
		pthread_exit(NULL);
	}
	return 0;
}
