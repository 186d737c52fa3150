// SPDX-License-Identifier: MIT
// quote DIRECTORY: reads names that end in a zero byte each, and prints the paths of their lock files, ended likewise.
#include "lockname.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	size_t size = 0;
	char *text = NULL;

	if (argc != 2)
		errx(99, "usage: quote DIRECTORY");
	while (getdelim(&text, &size, '\0', stdin) > 0) {
		struct lockname name = { .text = text };
		char path[PATH_MAX];
		struct lockdir found;

		if (lockname_path(&name, argv[1], NULL, path, &found) == -1)
			err(1, "%s", argv[1]);
		(void)fputs(path, stdout);
		(void)putchar('\0');
	}
	free(text);
	return ferror(stdin) || fflush(stdout) == EOF;
}
