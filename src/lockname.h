// SPDX-License-Identifier: MIT
// From a program to its lock's name, and from a name to the path of the lock file.
#ifndef EXLOCK_LOCKNAME_H
#define EXLOCK_LOCKNAME_H

#include "lockdir.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// A lock's name: a text, then each of ARGUMENTS behind a space, with a backslash before each space and backslash in it. The pieces stay where they are (a command
// line may have megabytes), so a name is walked, never joined.
struct lockname {
	const char *text;
	char *const *arguments;	// ends with NULL; NULL itself: none
};

// Calls PIECE for each piece of NAME in order, separating spaces included.
void lockname_walk(const struct lockname *name, void (*piece)(void *context, const char *bytes, size_t length),
		   void *context);

// Writes the absolute path, free of symlinks, of the program that this process runs to PATH: /proc/self/exe,
// or for a program that was started through the dynamic loader, or a #! script (and without /proc) what EXECFN (the kernel's AT_EXECFN) resolves to. *SCRIPT tells whether
// it is one; without /proc it only may be. ARGV is what the kernel gave the program, NULL if that is not known. Returns 0, or -1 and
// errno: the path cannot be told.
int lockname_of_program(const char *execfn, char *const *argv, char path[PATH_MAX], bool *script);

// Where the arguments of the program begin in ARGV: behind its name, or where it is a script (EXECFN not NULL)
// behind that, which the kernel put there together with the interpreter and its option.
char *const *lockname_arguments(char *const *argv, const char *execfn);

// Writes the path of NAME's lock file to PATH: in DIRECTORY, or if that is NULL in the default one, as lockdir_find() has it. The file name
// is Python's quote_plus of the name, with a digest for its end where it would pass 255 bytes. Returns 0 and what was FOUND, or -1 and
// errno: ENAMETOOLONG, or there is no directory.
int lockname_path(const struct lockname *name, const char *directory, char *const *environment, char path[PATH_MAX], struct lockdir *found);

// The other way: NAME gets, unquoted and ended by a zero byte, what the file name FILE says of its lock's name; *CUT tells
// whether that is only the beginning, with a digest for the rest. Returns its length, or -1: FILE is no lock file's name.
// Pure.
ssize_t lockname_of_file(const char *file, char name[NAME_MAX + 1], bool *cut);

#endif
