// SPDX-License-Identifier: MIT
#include "exits.h"

#include "exlock.h"
#include "nextfunction.h"
#include "rawcall.h"

#include <stdlib.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

typedef void (*exit_function)(int status);

// The next definition ends the process. It may be another preload's or a sanitizer's runtime's, which has a status of its own to give.
// Libc's is called, too: a sandbox may allow system calls from libc's code alone. The two are looked up apart, since a runtime may define
// only one of them. NULL: there is none, or another library's constructor ends the process before ours has run.
static exit_function next_exit, next_c99_exit;

void exits_prepare(void)
{
	__atomic_store_n(&next_exit, __extension__(exit_function)nextfunction_find("_exit"), __ATOMIC_RELAXED);
	__atomic_store_n(&next_c99_exit, __extension__(exit_function)nextfunction_find("_Exit"), __ATOMIC_RELAXED);
}

static _Noreturn void end(const exit_function *place, int status)
{
	exit_function next = __atomic_load_n(place, __ATOMIC_RELAXED);

	exlock_end();
	if (next)
		next(status);
	rawcall_exit(status);
}

EXPORTED void _exit(int status)
{
	end(&next_exit, status);
}

EXPORTED void _Exit(int status)
{
	end(&next_c99_exit, status);
}
