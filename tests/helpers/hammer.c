// SPDX-License-Identifier: MIT
// hammer COUNT PARALLEL COMMAND [ARG...]: runs COMMAND COUNT times, PARALLEL at a time, and prints one line
// "STATUS TIMES" for each exit status seen; an end by a signal counts as 128 and the signal's number.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static int seen[256];
	int left, room, status;

	if (argc < 4)
		return 99;
	left = atoi(argv[1]);
	room = atoi(argv[2]);
	for (;;) {
		while (left > 0 && room > 0) {
			pid_t child = fork();

			if (child < 0)
				return 99;
			if (child == 0) {
				execvp(argv[3], argv + 3);
				_exit(127);
			}
			left--;
			room--;
		}
		if (wait(&status) < 0)
			break;
		room++;
		seen[WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)]++;
	}
	for (int i = 0; i < 256; i++)
		if (seen[i])
			printf("%d %d\n", i, seen[i]);
	return 0;
}
