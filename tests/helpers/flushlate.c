// SPDX-License-Identifier: MIT
// flushlate FILE: appends one numbered block that stdio keeps in memory until the very end of exit(). The number is
// that of the blocks found at main; 9 if the last of these is not complete.
#include <stdio.h>
#include <sys/stat.h>

#define BLOCK (1 << 20)

int main(int argc, char **argv)
{
	static char buffer[2 * BLOCK];
	struct stat before;
	FILE *file;

	if (argc != 2 || !(file = fopen(argv[1], "a")) || fstat(fileno(file), &before) < 0)
		return 99;
	if (before.st_size % BLOCK)
		return 9;
	setvbuf(file, buffer, _IOFBF, sizeof buffer);
	for (int width = fprintf(file, "block %ld\n", (long)(before.st_size / BLOCK)); width < BLOCK; width++)
		fputc(width == BLOCK - 1 ? '\n' : '.', file);
	return 0;
}
