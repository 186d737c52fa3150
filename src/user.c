// SPDX-License-Identifier: MIT
#include "user.h"

#include "procfile.h"

#include <string.h>

#define OVERFLOW_USER 65534
// As many users as there are, in one range.
#define ALL_USERS " 4294967295\n"

static bool all_have_numbers(void)
{
	char map[sizeof("         0          0 4294967295\n")];
	const size_t length = sizeof(map) - 1, tail = sizeof(ALL_USERS) - 1;

	return procfile_read("/proc/self/uid_map", map, sizeof(map)) == (ssize_t)length &&
	       memcmp(map + length - tail, ALL_USERS, tail) == 0;
}

bool user_is_same(uid_t a, uid_t b)
{
	return a == b && (a != OVERFLOW_USER || all_have_numbers());
}
