// SPDX-License-Identifier: MIT
// memfd NAME FILE [ARG...]: puts the program FILE into memory under NAME, and becomes it, as programs do that come packed into one file.
// PRELOAD_INTO_MEMORY in the environment: what the program in memory preloads; this one is to be started without.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int file = argc > 2 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	int memory = argc > 2 ? memfd_create(argv[1], MFD_CLOEXEC) : -1;
	const char *preload = getenv("PRELOAD_INTO_MEMORY");
	struct stat status;

	if (file < 0 || memory < 0 || fstat(file, &status) < 0 || (preload && setenv("LD_PRELOAD", preload, 1) < 0))
		return 99;
	while (status.st_size > 0) {
		ssize_t sent = sendfile(memory, file, NULL, (size_t)status.st_size);

		if (sent <= 0)
			return 99;
		status.st_size -= sent;
	}
	fexecve(memory, argv + 2, environ);
	return 99;
}
