// SPDX-License-Identifier: MIT
// oracle FILE LINE: takes a lock of its own on FILE without waiting, keeps it until the kernel has closed everything,
// and appends LINE; 9 if somebody has that lock: two at once.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = 0 };
	int fd;

	if (argc != 3)
		return 99;
	fd = open(argv[1], O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return 99;
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
		return 9;
	return dprintf(fd, "%s\n", argv[2]) < 0 ? 99 : 0;
}
