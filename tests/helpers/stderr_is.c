// SPDX-License-Identifier: MIT
// Executes COMMAND with a standard error that nobody reads: stderr_is KIND COMMAND...
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fill(int descriptor)
{
	int flags = fcntl(descriptor, F_GETFL);
	int full = 0;

	fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
	// A terminal moves what was written on to its reader's buffer, a moment later: full is what stays full.
	while (full < 20) {
		full++;
		while (write(descriptor, "x", 1) > 0)
			full = 1;
		usleep(1000);
	}
	fcntl(descriptor, F_SETFL, flags);
}

static int full_terminal(int some_room)
{
	int reader = posix_openpt(O_RDWR | O_NOCTTY);
	int writer;
	char byte;

	if (reader < 0 || grantpt(reader) != 0 || unlockpt(reader) != 0)
		_exit(99);
	writer = open(ptsname(reader), O_RDWR | O_NOCTTY);
	fill(writer);
	// Some hundred bytes more will fit.
	if (some_room && read(reader, &byte, 1) != 1)
		_exit(99);
	return writer;
}

int main(int argc, char **argv)
{
	int ends[2];

	if (argc < 3 || pipe(ends) != 0)
		return 99;
	signal(SIGPIPE, SIG_DFL);
	if (strcmp(argv[1], "closed-pipe") == 0) {
		close(ends[0]);
	} else if (strcmp(argv[1], "full-pipe") == 0) {
		fill(ends[1]);
	} else {
		ends[1] = full_terminal(strcmp(argv[1], "almost-full-terminal") == 0);
	}
	// The reading end stays open across exec, so that the writing end is full, not broken.
	if (dup2(ends[1], STDERR_FILENO) < 0)
		return 99;
	execvp(argv[2], argv + 2);
	return 99;
}
