// SPDX-License-Identifier: MIT
// From the arguments of libexclusivelock's functions to the path of the lock file.
#ifndef EXLOCK_EXCLUSIVELOCKPATH_H
#define EXLOCK_EXCLUSIVELOCKPATH_H

#include "exclusivelock.h"

#include <limits.h>
#include <stdbool.h>

// Copies the options that the caller GAVE, which may be of an older or a newer header; NULL: none. False: errno is EINVAL, or E2BIG: an
// option is set that this library does not know.
bool exclusivelockpath_options(const struct exclusivelock_options *given, struct exclusivelock_options *options);

// The text of the lock's name: NAME, or where that is NULL or "" the path of the program, as it was when the library was loaded. NULL and
// errno: that path could not be told.
const char *exclusivelockpath_text(const char *name);

// Writes the path of NAME's lock file to PATH. DIRECTORY NULL is that of the environment, or the default. False and errno; *WHY is a clause
// that says more than errno, or NULL. *OWN: it is in this user's own directory.
bool exclusivelockpath_find(const char *name, const char *directory, char path[PATH_MAX], const char **why, bool *own);

#endif
