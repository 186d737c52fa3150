// SPDX-License-Identifier: MIT
// EXCLUSIVELOCK_ONLY: patterns against libc's fnmatch(3) where that goes by POSIX, and against a slower way everywhere.
#include "fuzz.h"
#include "pattern.h"

#include <fnmatch.h>

// What one place of the pattern matches: any of some bytes, or with `star` any number of any bytes.
struct place {
	bool star;
	bool bytes[256];
};

// A byte as it stands in brackets, quoted or not.
static size_t bracket_byte(const char *pattern, size_t length, size_t at, uint8_t *byte)
{
	at += pattern[at] == '\\' && at + 1 < length;
	*byte = (uint8_t)pattern[at];
	return at + 1;
}

// The bracket expression at AT. Returns where it ends, or 0: it does not.
static size_t bracket(const char *pattern, size_t length, size_t at, struct place *place)
{
	bool negated = at + 1 < length && (pattern[at + 1] == '!' || pattern[at + 1] == '^');
	size_t first = at + 1 + negated;

	for (at = first; at < length && (at == first || pattern[at] != ']');) {
		uint8_t low, high;

		at = bracket_byte(pattern, length, at, &low);
		high = low;
		if (at + 1 < length && pattern[at] == '-' && pattern[at + 1] != ']')
			at = bracket_byte(pattern, length, at + 1, &high);
		for (int byte = low; byte <= high; byte++)
			place->bytes[byte] = true;
	}
	if (at >= length)
		return 0;
	for (int byte = 0; negated && byte < 256; byte++)
		place->bytes[byte] = !place->bytes[byte];
	return at + 1;
}

static size_t parse(const char *pattern, size_t length, struct place *places)
{
	size_t count = 0;

	for (size_t at = 0, end; at < length; count++) {
		struct place *place = &places[count];

		if (pattern[at] == '[' && (end = bracket(pattern, length, at, place)) != 0) {
			at = end;
			continue;
		}
		memset(place, 0, sizeof(*place));
		if (pattern[at] == '*')
			place->star = true;
		else if (pattern[at] == '?')
			memset(place->bytes, true, sizeof(place->bytes));
		else if (pattern[at] == '\\' && at + 1 < length)
			place->bytes[(uint8_t)pattern[++at]] = true;
		else
			place->bytes[(uint8_t)pattern[at]] = true;
		at++;
	}
	return count;
}

// Which beginnings of the pattern match which beginnings of the string: no backtracking to get wrong.
static bool model(const char *pattern, size_t length, const char *string)
{
	struct place *places = calloc(length + 1, sizeof(*places));
	size_t count, size = strlen(string);
	bool *matches = calloc(size + 1, sizeof(*matches)), result;

	CHECK(places && matches);
	count = parse(pattern, length, places);
	matches[0] = true;
	for (size_t i = 0; i < count; i++) {
		if (places[i].star) {
			for (size_t j = 1; j <= size; j++)
				matches[j] = matches[j] || matches[j - 1];
			continue;
		}
		for (size_t j = size; j > 0; j--)
			matches[j] = matches[j - 1] && places[i].bytes[(uint8_t)string[j - 1]];
		matches[0] = false;
	}
	result = matches[size];
	free(matches);
	free(places);
	return result;
}

// Whether POSIX and glibc leave no doubt: no class or the like in brackets, no backslash at the end, no range where a bracket has
// none.
static bool is_plain(const char *pattern)
{
	for (const char *at = pattern, *open; *at; at++) {
		if (*at == '\\') {
			if (*++at == '\0')
				return false;
			continue;
		}
		if (*at != '[')
			continue;
		open = at;
		at += at[1] == '!' || at[1] == '^' ? 2 : 1;
		for (const char *first = at; *at != ']' || at == first; at++) {
			if (*at == '\0')
				return !strchr(open, '-');
			if ((*at == '\\' && *++at == '\0') || (*at == '[' && at[1] && strchr(":.=", at[1])))
				return false;
		}
	}
	return true;
}

static void match(const char *pattern, const char *string)
{
	bool matches = pattern_match(pattern, strlen(pattern), string);

	CHECK(matches == model(pattern, strlen(pattern), string));
	if (is_plain(pattern))
		CHECK(matches == (fnmatch(pattern, string, 0) == 0));
}

// The list as its description has it.
static bool select_model(char *patterns, const char *path)
{
	bool selected = false;

	for (char *pattern; (pattern = strsep(&patterns, ":")) != NULL;) {
		const char *slash = strrchr(path, '/');

		selected = selected || model(pattern, strlen(pattern), path) ||
			   model(pattern, strlen(pattern), slash ? slash + 1 : path);
	}
	return selected;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size < 600 ? size : 600);
	char *patterns = input_string(&input), *string = input_string(&input);
	bool selects = pattern_selects(patterns, string);

	match(patterns, string);
	// Not ended by a zero byte: the length alone says where it ends.
	(void)pattern_match((const char *)data, size, string);
	CHECK(selects == select_model(patterns, string));
	free(string);
	free(patterns);
	return 0;
}
