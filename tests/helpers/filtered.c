// SPDX-License-Identifier: MIT
// filtered eperm|kill CALL COMMAND [ARG...]: runs COMMAND under a seccomp filter that refuses, or kills for, one call.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "filter.h"

static long number(const char *name)
{
	static const struct { const char *name; long number; } calls[] = {
		{ "flock", SYS_flock }, { "socket", SYS_socket }, { "fcntl", SYS_fcntl }, { "kill", SYS_kill }, { "kcmp", SYS_kcmp },
	};

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(name, calls[i].name) == 0)
			return calls[i].number;
	return -1;
}

int main(int argc, char **argv)
{
	unsigned int answer = SECCOMP_RET_KILL_PROCESS;
	long call;

	if (argc < 4 || (call = number(argv[2])) < 0)
		return 99;
	if (strcmp(argv[1], "eperm") == 0)
		answer = SECCOMP_RET_ERRNO | EPERM;
	if (set_filter(&call, 1, answer, SECCOMP_RET_ALLOW, 0) < 0)
		return 98;
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
