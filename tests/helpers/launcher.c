// SPDX-License-Identifier: MIT
// Stands for exlock-launch in a copy of the build folder (setup_suite.bash): the one that was built looks for its library where that
// was built.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *beside(const char *folder, const char *option, const char *file)
{
	char *path;

	if (asprintf(&path, "%s%s/%s", option, folder, file) == -1)
		abort();
	return path;
}

int main(int argc, char **argv)
{
	char folder[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char **arguments = calloc((size_t)argc + 3, sizeof(*arguments));

	if (length == -1 || !arguments)
		abort();
	folder[length] = '\0';
	*strrchr(folder, '/') = '\0';
	arguments[0] = argv[0];
	arguments[1] = beside(folder, "--shim=", "libexlock.so");
	arguments[2] = beside(folder, "--keeper=", "exlock-keeper");
	for (int i = 1; i < argc; i++)
		arguments[i + 2] = argv[i];
	execv(beside(folder, "", "built/exlock-launch"), arguments);
	perror(folder);
	free(arguments);
	return 125;
}
