// SPDX-License-Identifier: MIT
// Its main thread ends; another one says "ready" once the leader is a zombie, and stays.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *stay(void *nothing)
{
	char line[512] = "";

	while (!strstr(line, ") Z")) {
		FILE *stat = fopen("/proc/self/stat", "r");

		if (!stat || !fgets(line, sizeof(line), stat))
			_exit(2);
		fclose(stat);
		usleep(1000);
	}
	printf("ready\n");
	fflush(stdout);
	pause();
	return nothing;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, stay, NULL) != 0)
		return 1;
	pthread_exit(NULL);
}
