// SPDX-License-Identifier: MIT
// Bounded text building without stdio or malloc, for use inside the guarded process.
#ifndef EXLOCK_TEXT_H
#define EXLOCK_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Room for any unsigned 64-bit number in decimal, and its end.
#define TEXT_NUMBER_MAX 21

struct text {
	char *start;
	size_t size;	// of the buffer, including the final zero byte
	size_t length;	// of what is written so far, excluding it
	bool cut;	// something did not fit
};

// An empty text in BUFFER; SIZE is at least 1. The text is always ended by a zero byte.
struct text text_in(char *buffer, size_t size);

// Each appends what fits; what does not sets `cut`.
void text_bytes(struct text *text, const char *bytes, size_t length);
void text_add(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);

// Reads a run of decimal digits at *AT, which moves behind it. False if there is none or it overflows.
bool text_parse_number(const char **at, const char *end, uint64_t *number);

// Whether STRING begins with PREFIX.
bool text_begins(const char *string, const char *prefix);

// What follows the last slash of PATH; PATH itself if there is none.
const char *text_basename(const char *path);

#endif
