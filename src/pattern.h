// SPDX-License-Identifier: MIT
#ifndef EXLOCK_PATTERN_H
#define EXLOCK_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

// Whether the LENGTH bytes of PATTERN match all of STRING, as fnmatch(3) without flags does in the C locale: * ? [...] and
// backslash. Libc's own may be the program's, uses the locale, and allocates. Pure.
bool pattern_match(const char *pattern, size_t length, const char *string);

// Whether one of PATTERNS (separated by colons) matches PATH or its base name. Pure.
bool pattern_selects(const char *patterns, const char *path);

#endif
