// SPDX-License-Identifier: MIT
// Says which stage of its life it has reached, from the constructor to the last flush; ends with the status it is given.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *stage)
{
	dprintf(STDOUT_FILENO, "%s\n", stage);
}

static void first_handler(void)
{
	say("atexit, registered first");
}

static void second_handler(void)
{
	say("atexit, registered second");
}

static void exit_handler(int status, void *word)
{
	dprintf(STDOUT_FILENO, "on_exit %d %s\n", status, (const char *)word);
}

__attribute__((constructor)) static void constructor(void)
{
	say("constructor");
}

__attribute__((destructor)) static void destructor(void)
{
	say("destructor");
}

int main(int argc, char **argv)
{
	static char buffer[4096];
	static char word[] = "word";

	say("main");
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	printf("written by the last flush\n");
	atexit(first_handler);
	atexit(second_handler);
	on_exit(exit_handler, word);
	return argc > 1 ? atoi(argv[1]) : 0;
}
