// SPDX-License-Identifier: MIT
// siblings: forks, and both leave by exit() at the same moment; 9 if at any time before that the lock file is not the
// one it found at main: a predecessor's child has removed it.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int same_file(const char *path, const struct stat *first)
{
	struct stat now;

	return stat(path, &now) == 0 && now.st_ino == first->st_ino && now.st_dev == first->st_dev;
}

int main(void)
{
	const char *path = getenv("EXCLUSIVELOCK_LOCKFILE");
	struct stat first;
	int starting[2];
	char byte;

	if (!path || pipe(starting) < 0)
		return 99;
	if (stat(path, &first) < 0)
		return 9;
	switch (fork()) {
	case -1:
		return 99;
	case 0:
		close(starting[1]);
		return read(starting[0], &byte, 1) == 0 ? 0 : 99;
	}
	close(starting[0]);
	for (int i = 0; i < 20; i++) {
		if (!same_file(path, &first))
			return 9;
		usleep(100);
	}
	close(starting[1]);
	return 0;
}
