// SPDX-License-Identifier: MIT
#include "scratch.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

// One for a list of processes, one for a list of threads or descriptors of each, and one for what is read of them.
#define PLACES 3

// A common symbol, so that it lies behind what every start writes (see exlock.c).
__attribute__((common)) struct {
	_Alignas(16) char place[PLACES][SCRATCH_SIZE];
} scratch;

// In a process forked while another thread had it a place is never free again.
static bool taken[PLACES];

void *scratch_get(void)
{
	void *memory;

	for (int i = 0; i < PLACES; i++)
		if (!__atomic_exchange_n(&taken[i], true, __ATOMIC_ACQUIRE))
			return scratch.place[i];
	memory = mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void scratch_free(void *memory)
{
	int error = errno;

	for (int i = 0; i < PLACES; i++) {
		if (memory == scratch.place[i]) {
			__atomic_store_n(&taken[i], false, __ATOMIC_RELEASE);
			return;
		}
	}
	if (memory)
		(void)munmap(memory, SCRATCH_SIZE);
	errno = error;
}
