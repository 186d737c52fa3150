// SPDX-License-Identifier: MIT
// heir GO COMMAND [ARG...]: forks a worker, which says its PID on standard error and stays until SIGTERM, and a child that
// calls exec when the FIFO named GO has been written to. Leaves by exit(), with a MiB of output to be flushed at the very end.
#include "term.h"

#define BLOCK (1 << 20)

static char buffer[2 * BLOCK];

int main(int argc, char **argv)
{
	char byte;

	if (argc < 3)
		return 99;
	block_term();
	if (fork() == 0) {
		dprintf(STDERR_FILENO, "%ld\n", (long)getpid());
		await_term();
		_exit(0);
	}
	if (fork() == 0) {
		int go = open(argv[1], O_RDONLY | O_CLOEXEC);

		if (go < 0 || read(go, &byte, 1) != 1)
			_exit(99);
		execvp(argv[2], argv + 2);
		_exit(99);
	}
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	for (int i = 0; i < BLOCK; i++)
		putchar('.');
	return 0;
}
