// SPDX-License-Identifier: MIT
// Says "ready PID" on standard error and waits for SIGTERM. Then it ends, and in its last moment, after the exit handlers, while stdio
// writes what it has, another thread forks a child that stays: "child PID".
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE = 1 << 20 };

static int output[2];

// What stdio writes is more than the pipe takes, so exit() does not go on before the child is there. The system call itself: fork(3)
// would wait for stdio's locks, which exit() has.
static void *fork_when_flushed(void *unused)
{
	static char bytes[SIZE];
	char words[32];
	int length;

	(void)unused;
	if (read(output[0], bytes, 1) == 1 && syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
		setsid();
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		length = snprintf(words, sizeof(words), "child %ld\n", (long)getpid());
		if (write(STDERR_FILENO, words, (size_t)length) != length)
			_exit(1);
		close(STDERR_FILENO);
		for (;;)
			pause();
	}
	while (read(output[0], bytes, sizeof(bytes)) > 0)
		;
	return NULL;
}

int main(void)
{
	static char buffer[2 * SIZE];
	pthread_t thread;
	sigset_t end;
	int signal;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	fprintf(stderr, "ready %ld\n", (long)getpid());
	sigwait(&end, &signal);
	if (pipe(output) == -1 || dup2(output[1], STDOUT_FILENO) == -1)
		return 1;
	close(output[1]);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (int i = 0; i < SIZE; i++)
		putchar('.');
	if (pthread_create(&thread, NULL, fork_when_flushed, NULL) != 0)
		return 1;
	exit(0);
}
