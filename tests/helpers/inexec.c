// SPDX-License-Identifier: MIT
// Leaves a process of user 65533's in the middle of its exec, as one does whose file system's server is dead: says "ready PID" and keeps it so
// until standard input ends. The file system is this program's, over FUSE, in a mount namespace of its own: closed at the exec, the one file in it
// asks for a word that never comes. Needs root; 77: there is no FUSE.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER 65533
#define FILE_NODE 2

static int device;

static void answer(const struct fuse_in_header *to, int error, const void *what, size_t size)
{
	char bytes[512];
	struct fuse_out_header header = { .len = (unsigned)(sizeof(header) + size), .error = -error, .unique = to->unique };

	memcpy(bytes, &header, sizeof(header));
	if (size > 0)
		memcpy(bytes + sizeof(header), what, size);
	if (write(device, bytes, header.len) == -1)
		perror("answer");
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){ .ino = node, .mode = node == FILE_NODE ? S_IFREG | 0666 : S_IFDIR | 0777, .nlink = 1 };
}

static void serve(const struct fuse_in_header *request)
{
	const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096 };
	const struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr = attributes(FILE_NODE) };
	const struct fuse_attr_out attribute = { .attr = attributes(request->nodeid) };
	const struct fuse_open_out opened = { .fh = 1 };

	if (request->opcode == FUSE_INIT)
		answer(request, 0, &init, sizeof(init));
	else if (request->opcode == FUSE_LOOKUP)
		answer(request, 0, &entry, sizeof(entry));
	else if (request->opcode == FUSE_GETATTR)
		answer(request, 0, &attribute, sizeof(attribute));
	else if (request->opcode == FUSE_OPEN)
		answer(request, 0, &opened, sizeof(opened));
	else if (request->opcode == FUSE_FLUSH)
		printf("ready %u\n", request->pid);
	else if (request->opcode != FUSE_FORGET && request->opcode != FUSE_INTERRUPT)
		answer(request, ENOSYS, NULL, 0);
	fflush(stdout);
}

static int stay(void)
{
	(void)close(device);
	if (setresgid(USER, USER, USER) == -1 || setresuid(USER, USER, USER) == -1 || prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 ||
	    open("/mnt/file", O_RDONLY | O_CLOEXEC) == -1)
		return 1;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

int main(void)
{
	static char request[65536];
	struct pollfd files[2] = { { .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	char options[128];

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
	if (device == -1 || unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("inexec", "/mnt", "fuse", MS_NOSUID | MS_NODEV, options) == -1)
		return 77;
	if (fork() == 0)
		return stay();
	files[0].fd = device;
	while (poll(files, 2, -1) >= 0 && files[1].revents == 0)
		if (files[0].revents != 0 && read(device, request, sizeof(request)) > 0)
			serve((const struct fuse_in_header *)request);
	// With the device the file system goes, and with it what is waited for.
	return 0;
}
