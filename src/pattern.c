// SPDX-License-Identifier: MIT
#include "pattern.h"

#include "text.h"

#include <string.h>

// Matches BYTE with the bracket expression that begins at AT ("["). Returns what follows it, or NULL: it has no end, and
// the bracket stands for itself.
static const char *match_bracket(const char *at, const char *end, unsigned char byte, bool *matches)
{
	bool negated, found = false;
	const char *first;

	negated = ++at < end && (*at == '!' || *at == '^');
	if (negated)
		at++;
	for (first = at; at < end && (*at != ']' || at == first); at++) {
		unsigned char low, high;

		if (*at == '\\' && at + 1 < end)
			at++;
		low = high = (unsigned char)*at;
		if (at + 2 < end && at[1] == '-' && at[2] != ']') {
			at += 2;
			if (*at == '\\' && at + 1 < end)
				at++;
			high = (unsigned char)*at;
		}
		found = found || (low <= byte && byte <= high);
	}
	if (at >= end)
		return NULL;
	*matches = found != negated;
	return at + 1;
}

// Matches one byte with what stands at *AT, which moves behind it.
static bool match_one(const char **at, const char *end, unsigned char byte)
{
	const char *behind;
	bool matches;

	if (byte == '\0')
		return false;
	if (**at == '[' && (behind = match_bracket(*at, end, byte, &matches)) != NULL) {
		*at = behind;
		return matches;
	}
	if (**at == '?') {
		++*at;
		return true;
	}
	if (**at == '\\' && *at + 1 < end)
		++*at;
	return (unsigned char)*(*at)++ == byte;
}

bool pattern_match(const char *pattern, size_t length, const char *string)
{
	const char *at = pattern, *end = pattern + length;
	const char *star = NULL, *star_string = NULL;

	// The last star seen is the only one that ever needs to take more.
	while (at < end || *string) {
		if (at < end && *at == '*') {
			star = ++at;
			star_string = string;
		} else if (at < end && match_one(&at, end, (unsigned char)*string)) {
			string++;
		} else if (star && *star_string) {
			at = star;
			string = ++star_string;
		} else {
			return false;
		}
	}
	return true;
}

bool pattern_selects(const char *patterns, const char *path)
{
	for (;; patterns++) {
		size_t length = strcspn(patterns, ":");

		if (pattern_match(patterns, length, path) || pattern_match(patterns, length, text_basename(path)))
			return true;
		patterns += length;
		if (*patterns == '\0')
			return false;
	}
}
