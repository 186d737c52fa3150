// SPDX-License-Identifier: MIT
// Replaces the lock file again and again, as fast as it can, by all that an attacker has: swapper LOCK LAIR SECRET. Says "ready PID";
// ends when it is killed, or after a while.
#include "swapattack.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char *const attacks[] = { "symlink", "stale", "dangling", "remove", "empty", "fifo", "stale", "chmod",
					       "remove", "folder", "truncate", "stale" };
	struct scene scene;
	unsigned turn;

	if (argc != 4)
		return 2;
	scene = swapattack_scene(argv[1], argv[2], argv[3]);
	alarm(100);
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	for (turn = 0;; turn++)
		swapattack_do(&scene, attacks[(turn * 7 + turn / 12) % (sizeof(attacks) / sizeof(*attacks))]);
}
