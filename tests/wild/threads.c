// SPDX-License-Identifier: MIT
// threads STATUS: counts with several threads, forks a child and executes itself in another, and ends with STATUS.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 1000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;

static void *count(void *unused)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		long *number = malloc(sizeof(*number));

		if (!number)
			abort();
		pthread_mutex_lock(&mutex);
		*number = sum;
		sum = *number + 1;
		pthread_mutex_unlock(&mutex);
		free(number);
	}
	return unused;
}

static void say_end(void)
{
	puts("end");
}

// Prints the child's status; EXECUTED is what it becomes, or NULL.
static int run_child(char **executed)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0 && executed) {
		execv(executed[0], executed);
		_exit(127);
	}
	if (child == 0)
		exit(9);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	char *executed[] = { argv[0], NULL };
	int i;

	if (argc < 2)
		return 8;
	atexit(say_end);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, count, NULL) != 0)
			return 2;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("sum %ld\n", sum);
	printf("forked %d\n", run_child(NULL));
	printf("executed %d\n", run_child(executed));
	return atoi(argv[1]);
}
