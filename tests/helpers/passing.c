// SPDX-License-Identifier: MIT
// Asks the kernel through prctl() and syscall(), with all kinds of arguments and results, and compares the answers.
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int wrong;

static void check(int holds, const char *what)
{
	if (!holds) {
		printf("wrong: %s\n", what);
		wrong = 1;
	}
}

int main(void)
{
	char name[17] = "";
	char *page;

	check(syscall(SYS_getpid) == getpid(), "no argument");
	check(syscall(SYS_getpgid, 0) == getpgrp(), "one argument");
	errno = 0;
	check(syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY, 0) == -1 && errno == ENOENT, "an error");
	errno = 0;
	check(syscall(-1) == -1 && errno == ENOSYS, "no such call");
	errno = 0;
	// Six arguments, and a result that does not fit into an int.
	page = (char *)syscall(SYS_mmap, NULL, 4096UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	check(page != MAP_FAILED && memset(page, 1, 4096) == page && errno == 0, "six arguments");
	check(syscall(SYS_munmap, page, 4096UL) == 0, "two arguments");

	check(prctl(PR_SET_NAME, "renamed", 0, 0, 0) == 0 && prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") == 0,
		"the name");
	check(prctl(PR_GET_DUMPABLE) == 1 && prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0, "a number");
	errno = 0;
	check(prctl(-1, 0, 0, 0, 0) == -1 && errno == EINVAL, "no such option");
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "five arguments");
	errno = 0;
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 1) == -1 && errno == EINVAL, "the fifth argument");
	if (!wrong)
		printf("all as asked\n");
	return wrong;
}
