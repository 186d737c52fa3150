// SPDX-License-Identifier: MIT
#ifndef EXLOCK_CANONICAL_H
#define EXLOCK_CANONICAL_H

#include <limits.h>

// Like realpath(3), by system calls alone (the program, or another preload, may have a realpath of its own): PATH
// made absolute, without symlinks, "." and "..". Every component but the last must exist. Returns 0, or -1 and
// errno.
int canonical_path(const char *path, char resolved[PATH_MAX]);

#endif
