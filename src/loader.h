// SPDX-License-Identifier: MIT
// A program that is started through the dynamic loader: "ld-linux.so [OPTION...] PROGRAM [ARG...]". The kernel knows the loader alone.
#ifndef EXLOCK_LOADER_H
#define EXLOCK_LOADER_H

#include "scratch.h"

#include <stdbool.h>

// Whether the program at PATH is a dynamic loader, by its name. Pure.
bool loader_is(const char *path);

// Where the program begins in ARGUMENTS, which stand behind the loader's name: behind the loader's options, see ld.so(8). NULL: they name
// none, or by a name without a slash. Pure.
char *const *loader_program(char *const *arguments);

// The program that this process, whose file is a loader, was asked for: by /proc/self/cmdline, which musl's loader leaves as it was. The
// text is in MEMORY. NULL: none.
const char *loader_own_program(char memory[SCRATCH_SIZE]);

#endif
