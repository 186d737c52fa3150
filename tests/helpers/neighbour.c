// SPDX-License-Identifier: MIT
// A library to preload that calls libc through the front door, from its constructor, and says so.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void constructor(void)
{
	if (getenv("PATH"))
		dprintf(STDOUT_FILENO, "neighbour\n");
}
