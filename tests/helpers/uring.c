// SPDX-License-Identifier: MIT
// uring PORT: listens on PORT of 127.0.0.1, leaves an accept in an io_uring, and ends by exit(0). 77: the port is busy. 78: the kernel gives
// it no io_uring. The kernel closes the socket late, with the ring: after the process is gone.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUSY = 77, FORBIDDEN = 78, BROKEN = 99 };

static int listen_on(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		exit(BROKEN);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		exit(errno == EADDRINUSE ? BUSY : BROKEN);
	if (listen(fd, 8) < 0)
		exit(errno == EADDRINUSE ? BUSY : BROKEN);
	return fd;
}

static void leave_accept_pending(int listener)
{
	struct io_uring_params params = { 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 8, &params);
	struct io_uring_sqe *entry;
	char *queue;

	if (ring < 0)
		exit(FORBIDDEN);
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		IORING_OFF_SQ_RING);
	entry = mmap(NULL, params.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || entry == MAP_FAILED)
		exit(BROKEN);
	memset(entry, 0, sizeof *entry);
	entry->opcode = IORING_OP_ACCEPT;
	entry->fd = listener;
	*(unsigned *)(queue + params.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		exit(BROKEN);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return BROKEN;
	leave_accept_pending(listen_on(atoi(argv[1])));
	return 0;
}
