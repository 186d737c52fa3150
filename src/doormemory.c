// SPDX-License-Identifier: MIT
// The part of the shim's door (door.c) that the compiler calls by itself, too: memory and strings, plain and hidden.
#pragma GCC visibility push(hidden)
#include <stdint.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	char *target = to;
	const char *source = from;

	while (size-- > 0)
		*target++ = *source++;
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	char *target = to;
	const char *source = from;

	if (target <= source)
		return memcpy(to, from, size);
	while (size-- > 0)
		target[size] = source[size];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	char *target = to;

	while (size-- > 0)
		*target++ = (char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *left = a, *right = b;

	for (; size > 0; size--, left++, right++)
		if (*left != *right)
			return *left - *right;
	return 0;
}

// What clang makes of a memcmp() that is only compared with 0.
int bcmp(const void *a, const void *b, size_t size)
{
	return memcmp(a, b, size);
}

void *memchr(const void *memory, int byte, size_t size)
{
	const unsigned char *at = memory;

	for (; size > 0; size--, at++)
		if (*at == (unsigned char)byte)
			return (void *)(uintptr_t)at;
	return NULL;
}

size_t strlen(const char *string)
{
	const char *end = string;

	while (*end)
		end++;
	return (size_t)(end - string);
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (; size > 0 && *a && *a == *b; size--)
		a++, b++;
	return size == 0 ? 0 : (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *string, int byte)
{
	for (;; string++)
		if (*string == (char)byte)
			return (char *)(uintptr_t)string;
		else if (!*string)
			return NULL;
}

char *strrchr(const char *string, int byte)
{
	char *found = NULL;

	do
		if (*string == (char)byte)
			found = (char *)(uintptr_t)string;
	while (*string++);
	return found;
}

size_t strspn(const char *string, const char *accepted)
{
	size_t length = 0;

	while (string[length] && strchr(accepted, string[length]))
		length++;
	return length;
}

size_t strcspn(const char *string, const char *rejected)
{
	size_t length = 0;

	while (!strchr(rejected, string[length]))
		length++;
	return length;
}
#pragma GCC visibility pop
