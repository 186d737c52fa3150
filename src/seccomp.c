// SPDX-License-Identifier: MIT
#include "seccomp.h"

#include "rawcall.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define NEXT ((void *)-1L)	// RTLD_NEXT

// libc's own errno; the library's other parts have one of theirs.
extern int *__real___errno_location(void) __attribute__((weak));
extern void *dlsym(void *handle, const char *name) __attribute__((weak));

typedef long (*call_function)(long number, ...);
typedef int (*prctl_function)(int option, ...);

static bool entered;

bool seccomp_entered(void)
{
	return entered;
}

// Another preload may have a syscall() or prctl() of its own (torsocks, libfaketime): it is to be called as if we were
// not there. dlsym may allocate, and some allocators make their first system calls by syscall().
static void *next_definition(const char *name, void **known)
{
	static bool resolving;

	if (!*known && dlsym && !resolving) {
		resolving = true;
		__atomic_store_n(known, dlsym(NEXT, name), __ATOMIC_RELAXED);
		resolving = false;
	}
	return __atomic_load_n(known, __ATOMIC_RELAXED);
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
	static void *known;
	call_function next = __extension__(call_function)next_definition("syscall", &known);
	long a[6], result;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	result = next ? next(number, a[0], a[1], a[2], a[3], a[4], a[5]) :
			result_of(rawcall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
	if (result >= 0 && ((number == SYS_seccomp && (a[0] == SECCOMP_SET_MODE_FILTER || a[0] == SECCOMP_SET_MODE_STRICT)) ||
			    (number == SYS_prctl && a[0] == PR_SET_SECCOMP)))
		entered = true;
	return result;
}

EXPORTED int prctl(int option, ...)
{
	static void *known;
	prctl_function next = __extension__(prctl_function)next_definition("prctl", &known);
	long a[4], result;
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	result = next ? next(option, a[0], a[1], a[2], a[3]) :
			result_of(rawcall(SYS_prctl, option, a[0], a[1], a[2], a[3], 0));
	if (result >= 0 && option == PR_SET_SECCOMP)
		entered = true;
	return (int)result;
}
