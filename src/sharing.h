// SPDX-License-Identifier: MIT
// Commands whose lock many programs would share, because the lock's name is the path of a file that is more than one program.
#ifndef EXLOCK_SHARING_H
#define EXLOCK_SHARING_H

#include <stdbool.h>

enum sharing {
	SHARING_NONE,
	SHARING_RUNNER,		// it runs what its arguments say: an interpreter, sudo, the loader
	SHARING_LINKS,		// links of several names lead to it, and each name is a program: busybox
};

// What is known of the command FILE, whose path without symlinks is PROGRAM, and which has ARGUMENTS or not. By names; and links beside
// FILE that lead to the same place are looked for where FILE is a link of another name.
enum sharing sharing_find(const char *file, const char *program, bool arguments);

#endif
