// SPDX-License-Identifier: MIT
// Whether the file that the command is to preload is the shim. The loader would say a line about one that it cannot load, and go on.
#ifndef EXLOCK_SHIMFILE_H
#define EXLOCK_SHIMFILE_H

#include "machine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How much of the beginning of the file has all that is looked at.
#define SHIMFILE_START 1024

// What the shim is known by, in a note (elf(5)).
#define SHIMFILE_OWNER "exlock"
#define SHIMFILE_TYPE 1

struct shimfile_note {
	uint32_t name_size, content_size, type;
	char name[(sizeof(SHIMFILE_OWNER) + 3) / 4 * 4];
};

// Whether a file of SIZE bytes, which begins with the LENGTH bytes of START, is the shim for MACHINE, and whole. NULL: it is; otherwise
// what is wrong with it. Pure.
const char *shimfile_check(const char *start, size_t length, uint64_t size, struct machine machine);

// The same for the file at PATH.
const char *shimfile_look(const char *path, struct machine machine);

#endif
