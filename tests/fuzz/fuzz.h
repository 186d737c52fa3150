// SPDX-License-Identifier: MIT
// What every fuzz target includes. A target is LLVMFuzzerTestOneInput(): it makes arguments of the bytes it is given, calls the
// code, and checks what is true for all of them. Built with clang it is libFuzzer that calls it; with another compiler,
// replay.c does so with the files of the corpus.
#ifndef EXLOCK_FUZZ_H
#define EXLOCK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Something that has to be true, whatever the input.
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

// What is left of the input.
struct input {
	const uint8_t *at, *end;
};

static inline struct input input_of(const uint8_t *data, size_t size)
{
	return (struct input){ data, data + size };
}

// The next byte; 0 when there is none left.
static inline uint8_t input_byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static inline uint64_t input_number(struct input *input, int bytes)
{
	uint64_t number = 0;

	while (bytes-- > 0)
		number = number << 8 | input_byte(input);
	return number;
}

// Memory that is exactly as large as what is in it, so that a sanitizer sees one byte too many. Ends in a zero byte.
static inline char *input_copy(const uint8_t *bytes, size_t length)
{
	char *copy = malloc(length + 1);

	CHECK(copy);
	if (length > 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	return copy;
}

// Up to the next zero byte, or what is left. To be freed.
static inline char *input_string(struct input *input)
{
	const uint8_t *start = input->at, *end = start;

	while (end < input->end && *end)
		end++;
	input->at = end + (end < input->end);
	return input_copy(start, (size_t)(end - start));
}

// All that is left, as strings; a vector that ends with NULL. To be freed with input_free().
static inline char **input_strings(struct input *input)
{
	size_t count = 0;
	char **strings;

	for (const uint8_t *at = input->at; at < input->end; at++)
		count += *at == '\0';
	strings = calloc(count + 2, sizeof(*strings));
	CHECK(strings);
	for (count = 0; input->at < input->end; count++)
		strings[count] = input_string(input);
	return strings;
}

static inline void input_free(char **strings)
{
	for (char **string = strings; *string; string++)
		free(*string);
	free(strings);
}

#endif
