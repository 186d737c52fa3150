// SPDX-License-Identifier: MIT
// listener ADDRESS PORT: listens there and leaves by exit() without closing; 9 if the port is still taken.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 3 || fd < 0 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1)
		return 99;
	here.sin_port = htons((unsigned short)atoi(argv[2]));
	if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(fd, 1) < 0)
		return errno == EADDRINUSE ? 9 : 99;
	return 0;
}
