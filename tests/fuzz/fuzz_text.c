// SPDX-License-Identifier: MIT
// The bounded buffers that all text is built in, and the numbers that all parsers read.
#include "fuzz.h"
#include "text.h"

#include <errno.h>

// A number among other bytes, not ended by a zero byte, against strtoull(3).
static void parse_number(const char *bytes, size_t length)
{
	char *copy = input_copy((const uint8_t *)bytes, length);
	size_t digits = strspn(copy, "0123456789");
	const char *at = bytes, *end = bytes + length;
	unsigned long long expected;
	uint64_t number;
	bool fits, read;

	errno = 0;
	expected = strtoull(copy, NULL, 10);
	fits = errno != ERANGE;
	read = text_parse_number(&at, end, &number);
	CHECK(read == (digits > 0 && fits));
	CHECK(at >= bytes && at <= end);
	if (read)
		CHECK(number == expected && (size_t)(at - bytes) == digits);
	free(copy);
}

static void write_number(uint64_t number)
{
	char expected[32], digits[TEXT_NUMBER_MAX];
	struct text text = text_in(digits, sizeof(digits));
	const char *at = digits;
	uint64_t again;

	text_number(&text, number);
	snprintf(expected, sizeof(expected), "%llu", (unsigned long long)number);
	CHECK(!text.cut && strcmp(digits, expected) == 0 && text.length == strlen(expected));
	CHECK(text_parse_number(&at, at + text.length, &again) && again == number);
}

// Pieces of any length into a buffer of any size: its beginning, always ended, never one byte more.
static void build(struct input *input)
{
	static char whole[65536];
	size_t size = (size_t)input_byte(input) + 1, total = 0, piece;
	char *buffer = malloc(size);
	struct text text;

	CHECK(buffer);
	text = text_in(buffer, size);
	CHECK(text.length == 0 && !text.cut && buffer[0] == '\0');
	while (input->at < input->end && total < 60000) {
		if (*input->at & 1) {
			uint64_t number = input_number(input, (*input->at >> 1 & 7) + 1);

			text_number(&text, number);
			total += (size_t)sprintf(whole + total, "%llu", (unsigned long long)number);
			continue;
		}
		piece = input_byte(input) >> 1;
		piece = piece < (size_t)(input->end - input->at) ? piece : (size_t)(input->end - input->at);
		text_bytes(&text, (const char *)input->at, piece);
		memcpy(whole + total, input->at, piece);
		total += piece;
		input->at += piece;
	}
	CHECK(text.cut == (total > size - 1));
	CHECK(text.length == (text.cut ? size - 1 : total));
	CHECK(memcmp(buffer, whole, text.length) == 0 && buffer[text.length] == '\0');
	free(buffer);
}

// The end of a path, and a prefix, by their definitions.
static void compare(struct input *input)
{
	char *path = input_string(input), *prefix = input_string(input);
	const char *base = text_basename(path);

	CHECK(strchr(base, '/') == NULL);
	CHECK(base == path || (base > path && base[-1] == '/'));
	CHECK(base + strlen(base) == path + strlen(path));
	CHECK(text_begins(path, prefix) == (strstr(path, prefix) == path));
	free(prefix);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);

	parse_number((const char *)data, size);
	write_number(input_number(&input, 8));
	input = input_of(data, size);
	build(&input);
	input = input_of(data, size);
	compare(&input);
	return 0;
}
