// SPDX-License-Identifier: MIT
#include "user.h"

#include "procfile.h"
#include "text.h"

#include <string.h>

#define OVERFLOW_USER 65534
#define UID_MAP "/proc/self/uid_map"
// Some lines of it. What is behind these counts as not mapped.
#define UID_MAP_MAX 512
// As many users as there are, in one range.
#define ALL_USERS " 4294967295\n"

static bool all_have_numbers(void)
{
	char map[sizeof("         0          0 4294967295\n")];
	const size_t length = sizeof(map) - 1, tail = sizeof(ALL_USERS) - 1;

	return procfile_read(UID_MAP, map, sizeof(map)) == (ssize_t)length &&
	       memcmp(map + length - tail, ALL_USERS, tail) == 0;
}

bool user_is_same(uid_t a, uid_t b)
{
	return a == b && (a != OVERFLOW_USER || all_have_numbers());
}

bool user_is_unknown(uid_t user)
{
	return user == OVERFLOW_USER && !all_have_numbers();
}

static bool read_number(const char **at, const char *end, uint64_t *number)
{
	while (*at < end && **at == ' ')
		++*at;
	return text_parse_number(at, end, number);
}

// Lines of "FIRST OUTSIDE COUNT".
bool user_outside(uid_t user, uid_t *outside)
{
	char map[UID_MAP_MAX];
	ssize_t size = procfile_read(UID_MAP, map, sizeof(map));
	const char *at = map, *end = map + (size > 0 ? size : 0);
	uint64_t first, other, count;

	for (; read_number(&at, end, &first) && read_number(&at, end, &other) && read_number(&at, end, &count) && at < end; at++) {
		if (user < first || user - first >= count)
			continue;
		*outside = (uid_t)(other + (user - first));
		return *outside != 0;
	}
	return false;
}
