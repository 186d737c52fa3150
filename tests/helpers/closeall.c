// SPDX-License-Identifier: MIT
// closeall loop|closefrom|close_range FILE: closes every descriptor, writes its PID into FILE, waits for SIGTERM.
#define _GNU_SOURCE
#include <string.h>

#include "term.h"

static void close_all(const char *how)
{
	if (strcmp(how, "closefrom") == 0) {
		closefrom(0);
	} else if (strcmp(how, "close_range") == 0) {
		if (close_range(0, ~0U, 0) < 0)
			_exit(99);
	} else {
		for (long fd = sysconf(_SC_OPEN_MAX); fd >= 0; fd--)
			close((int)fd);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 99;
	block_term();
	close_all(argv[1]);
	write_pid(argv[2]);
	await_term();
	return 0;
}
