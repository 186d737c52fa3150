// SPDX-License-Identifier: MIT
// A library to preload behind the shim: its constructor runs before the shim's. It calls prctl() and syscall() from there, and leaves
// something for dlerror(). Its own prctl() and syscall() know a request that libc's do not.
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUEST = 7777, ANSWER = 77 };

static int (*next_prctl)(int option, ...);
static long (*next_call)(long number, ...);

__attribute__((constructor)) static void constructor(void)
{
	char name[16] = "";

	next_prctl = __extension__(int (*)(int, ...))dlsym(RTLD_NEXT, "prctl");
	next_call = __extension__(long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (prctl(PR_GET_NAME, name) != 0 || !name[0] || syscall(SYS_getpid) != getpid() || syscall(-1) != -1)
		abort();
	(void)dlopen("/no/such/library", RTLD_NOW);
}

int prctl(int option, ...)
{
	unsigned long argument;
	va_list list;

	va_start(list, option);
	argument = va_arg(list, unsigned long);
	va_end(list);
	return option == REQUEST ? ANSWER : next_prctl(option, argument, 0, 0, 0);
}

long syscall(long number, ...)
{
	return number == REQUEST ? ANSWER : next_call(number);
}
