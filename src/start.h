// SPDX-License-Identifier: MIT
// What the kernel handed to this process at its start. Found without constructor arguments, which musl does not pass.
#ifndef EXLOCK_START_H
#define EXLOCK_START_H

#include <stdbool.h>

struct start {
	char *const *argv;	// NULL: not to be found
	char ***environment;	// the variable that holds the present environment
	const char *execfn;	// AT_EXECFN; NULL: not known
	bool secure;		// AT_SECURE: set-user-ID and the like
};

// False: nothing is to be found out; this is no process to meddle with.
bool start_find(struct start *start);

#endif
