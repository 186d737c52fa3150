// SPDX-License-Identifier: MIT
// sandbox prctl|syscall|libseccomp: fills stdio's buffer with 1,000 lines, gives up every system call but read, write
// and exit_group (any other one kills), waits for the end of its standard input, and calls exit(7).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_LIBSECCOMP
#include <seccomp.h>

static int confine(const char *how)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	(void)how;
	if (!filter || seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(read), 0) < 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 0) < 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0) < 0)
		return -1;
	return seccomp_load(filter);
}
#else
#include "filter.h"

static int confine(const char *how)
{
	static const long allowed[] = { SYS_read, SYS_write, SYS_exit_group };

	return set_filter(allowed, 3, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, strcmp(how, "syscall") == 0);
}
#endif

int main(int argc, char **argv)
{
	static char buffer[1 << 16], input[16];

	if (argc != 2)
		return 99;
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	for (int i = 1; i <= 1000; i++)
		printf("line %d\n", i);
	if (confine(argv[1]) < 0)
		return 98;
	while (read(STDIN_FILENO, input, sizeof input) > 0)
		;
	exit(7);
}
