// SPDX-License-Identifier: MIT
// Linked into what is built to be measured (meson's option "coverage"), before all else that runs there: puts the counters of
// clang's coverage into a file that every process maps. So nothing has to be written at a process' end, which may be a
// raw exit, an exec or a SIGKILL, and the code under test knows nothing of being measured. Where the file is out of sight
// (another root, another user's, a filter), a process counts for itself, and that is lost.
#include "../../src/rawcall.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// The linker's, and what -runtime-counter-relocation adds to every counter's address.
extern char counters_begin[] __asm__("__start___llvm_prf_cnts") __attribute__((visibility("hidden")));
extern char counters_end[] __asm__("__stop___llvm_prf_cnts") __attribute__((visibility("hidden")));
extern intptr_t counters_bias __asm__("__llvm_profile_counter_bias") __attribute__((visibility("hidden")));

__attribute__((constructor(101))) static void share_counters(void)
{
	long file = rawcall(SYS_openat, AT_FDCWD, (long)COUNTERS, O_RDWR | O_CLOEXEC, 0, 0, 0);
	long map;

	if (file < 0)
		return;
	map = rawcall(SYS_mmap, 0, (intptr_t)counters_end - (intptr_t)counters_begin, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	(void)rawcall(SYS_close, file, 0, 0, 0, 0, 0);
	if (map > 0)
		counters_bias = map - (intptr_t)counters_begin;
}
