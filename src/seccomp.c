// SPDX-License-Identifier: MIT
#include "seccomp.h"

#include "nextfunction.h"
#include "rawcall.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
// The kernel's include/uapi/linux/prctl.h, newer than some distributions' copies of it: this and on with any number but 0.
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

// libc's own errno; the library's other parts have one of theirs.
extern int *__real___errno_location(void) __attribute__((weak));

typedef long (*call_function)(long number, ...);
typedef int (*prctl_function)(int option, ...);

// The program's calls go on to the next definition, as if this library were not there. It may be another preload's (torsocks,
// libfaketime) or a sanitizer's runtime's. Libc's is called, too: a sandbox may allow system calls from libc's code alone. NULL: there
// is none, or another library's constructor calls us before ours has run. Then we make the system call ourselves.
static call_function next_call;
static prctl_function next_prctl;
static bool entered;

void seccomp_prepare(void)
{
	__atomic_store_n(&next_call, __extension__(call_function)nextfunction_find("syscall"), __ATOMIC_RELAXED);
	__atomic_store_n(&next_prctl, __extension__(prctl_function)nextfunction_find("prctl"), __ATOMIC_RELAXED);
}

bool seccomp_entered(void)
{
	return __atomic_load_n(&entered, __ATOMIC_RELAXED);
}

static void enter(void)
{
	__atomic_store_n(&entered, true, __ATOMIC_RELAXED);
}

// Whether from here on system calls of this library's may bring a signal. With Syscall User Dispatch it may be that those of libc alone do
// not. That is one thread's, but to know whose end this is would take a system call, too.
static bool confines(long option, long argument)
{
	return option == PR_SET_SECCOMP || (option == PR_SET_SYSCALL_USER_DISPATCH && argument != 0);
}

static long result_of(long result)
{
	if (result >= 0 || result < -4095)
		return result;
	if (__real___errno_location)
		*__real___errno_location() = (int)-result;
	return -1;
}

EXPORTED long syscall(long number, ...)
{
	call_function next = __atomic_load_n(&next_call, __ATOMIC_RELAXED);
	long a[6], result;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	result = next ? next(number, a[0], a[1], a[2], a[3], a[4], a[5]) :
			result_of(rawcall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
	if (result >= 0 && ((number == SYS_seccomp && (a[0] == SECCOMP_SET_MODE_FILTER || a[0] == SECCOMP_SET_MODE_STRICT)) ||
			    (number == SYS_prctl && confines(a[0], a[1]))))
		enter();
	return result;
}

EXPORTED int prctl(int option, ...)
{
	prctl_function next = __atomic_load_n(&next_prctl, __ATOMIC_RELAXED);
	long a[4], result;
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	result = next ? next(option, a[0], a[1], a[2], a[3]) :
			result_of(rawcall(SYS_prctl, option, a[0], a[1], a[2], a[3], 0));
	if (result >= 0 && confines(option, a[0]))
		enter();
	return (int)result;
}
