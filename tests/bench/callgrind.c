// SPDX-License-Identifier: MIT
// callgrind OPTION... COMMAND [ARG...]: valgrind's callgrind, started by a program that is linked statically. valgrind's own is run in the place
// of every program that is followed over an exec, and would load what is to be preloaded into that: the lock would be taken by it.
// VALGRIND_LIB says where valgrind's programs are.
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__aarch64__)
#define TOOL "callgrind-arm64-linux"
#else
#define TOOL "callgrind-amd64-linux"
#endif

int main(int argc, char **argv)
{
	const char *folder = getenv("VALGRIND_LIB");
	char self[PATH_MAX], tool[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (argc < 2 || length == -1 || !folder)
		errx(2, "usage: VALGRIND_LIB=FOLDER callgrind OPTION... COMMAND [ARG...]");
	self[length] = '\0';
	if (setenv("VALGRIND_LAUNCHER", self, 1) == -1)
		err(2, "environment");
	snprintf(tool, sizeof(tool), "%s/%s", folder, TOOL);
	execv(tool, argv);
	err(2, "%s", tool);
}
