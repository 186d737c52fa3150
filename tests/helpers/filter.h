// SPDX-License-Identifier: MIT
// One seccomp filter: the calls listed get one answer, all others another.
#ifndef FILTER_H
#define FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_CALLS 8

// Returns 0, or -1 with errno. With through_syscall the filter is set by syscall(SYS_seccomp), else by prctl().
static inline int set_filter(const long *calls, unsigned int count, unsigned int answer, unsigned int others,
			     int through_syscall)
{
	struct sock_filter code[2 * MOST_CALLS + 2];
	struct sock_fprog program = { .filter = code };
	unsigned short length = 0;

	if (count > MOST_CALLS)
		return -1;
	code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < count; i++) {
		code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)calls[i], 0, 1);
		code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer);
	}
	// cppcheck-suppress unreadVariable // by the kernel, through program
	code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	program.len = length;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	if (through_syscall)
		return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

#endif
