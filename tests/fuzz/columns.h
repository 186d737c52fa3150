// SPDX-License-Identifier: MIT
// What lines of /proc/PID/maps and /proc/locks have in common, read by libc's functions.
#ifndef EXLOCK_COLUMNS_H
#define EXLOCK_COLUMNS_H

#include "fuzz.h"

#include <errno.h>
#include <sys/sysmacros.h>

// What follows a word and the blanks behind it.
static inline const char *columns_behind_word(const char *at)
{
	at += strcspn(at, " ");
	return at + strspn(at, " ");
}

// A decimal number, as many digits as there are. False: there is none, or it is too large.
static inline bool columns_number(const char *at, uint64_t *number)
{
	errno = 0;
	*number = strtoull(at, NULL, 10);
	return strspn(at, "0123456789") > 0 && errno != ERANGE;
}

// A device at *AT, which moves behind it. *STRANGE is set for one that no kernel has.
static inline bool columns_device(const char **at, dev_t *device, bool *strange)
{
	static const char hex[] = "0123456789abcdef";
	size_t major = strspn(*at, hex), minor = (*at)[major] == ':' ? strspn(*at + major + 1, hex) : 0;
	char numbers[2][9] = { "", "" };

	if (major == 0 || minor == 0)
		return false;
	*strange = major > 8 || minor > 8;
	if (!*strange) {
		memcpy(numbers[0], *at, major);
		memcpy(numbers[1], *at + major + 1, minor);
	}
	*device = makedev((unsigned)strtoul(numbers[0], NULL, 16), (unsigned)strtoul(numbers[1], NULL, 16));
	*at += major + 1 + minor;
	return true;
}

#endif
