// SPDX-License-Identifier: MIT
// hopper FILE MICROSECONDS: says "ready", and then forks and exits all the time, with a sleep in between if that is not 0, for as long as FILE
// is there.
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	useconds_t pause = argc == 3 ? (useconds_t)atoi(argv[2]) : 0;

	if (argc != 3 || write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 2;
	while (access(argv[1], F_OK) == 0) {
		if (fork() > 0)
			_exit(0);
		if (pause)
			usleep(pause);
	}
	return 0;
}
