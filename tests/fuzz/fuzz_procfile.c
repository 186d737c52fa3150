// SPDX-License-Identifier: MIT
// Files and folders of /proc as read(2) and getdents64(2) hand them out, in pieces of any size: the input says which sizes, then
// what is in the file.
#include "fuzz.h"
#include "procfile.h"
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

// What the reader has room for beside the newline.
#define LINE_MAX_LENGTH (SCRATCH_SIZE - 1)
#define FILE_DESCRIPTOR 1000
// What is beyond this tells nothing new.
#define CONTENT_MAX 40000

// The file that is open, and how much of it each read gets at most.
static struct input file;
static struct input pieces;
static bool is_open;

int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __wrap_getdents64(int fd, void *buffer, size_t size);

int __wrap_openat(int folder, const char *path, int flags, ...)
{
	CHECK(folder == AT_FDCWD && path[0] == '/' && (flags & O_CLOEXEC) && !is_open);
	is_open = true;
	return FILE_DESCRIPTOR;
}

int __wrap_close(int fd)
{
	CHECK(fd == FILE_DESCRIPTOR && is_open);
	is_open = false;
	return 0;
}

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	size_t piece = (size_t)(file.end - file.at), most = (size_t)input_byte(&pieces) * 20 + 1;

	CHECK(fd == FILE_DESCRIPTOR && is_open && size > 0);
	if (pieces.at == pieces.end)
		most = size;
	piece = piece < most ? piece : most;
	piece = piece < size ? piece : size;
	memcpy(buffer, file.at, piece);
	file.at += piece;
	return (ssize_t)piece;
}

// One name a line, as many as there is room for.
ssize_t __wrap_getdents64(int fd, void *buffer, size_t size)
{
	size_t used = 0;

	CHECK(fd == FILE_DESCRIPTOR && is_open);
	while (file.at < file.end) {
		const uint8_t *newline = memchr(file.at, '\n', (size_t)(file.end - file.at));
		size_t length = (size_t)((newline ? newline : file.end) - file.at);
		struct dirent64 *entry = (struct dirent64 *)((char *)buffer + used);
		size_t room;

		length = length < NAME_MAX ? length : NAME_MAX;
		room = (offsetof(struct dirent64, d_name) + length + 1 + 7) / 8 * 8;
		if (used + room > size)
			break;
		memset(entry, 0xff, room);
		entry->d_reclen = (unsigned short)room;
		memcpy(entry->d_name, file.at, length);
		entry->d_name[length] = '\0';
		used += room;
		file.at += length;
		file.at += file.at < file.end && *file.at == '\n';
	}
	return (ssize_t)used;
}

// A byte of 255 stands for as many of the byte before it as the next one says, times 40: long lines of short input.
static uint8_t *expand(const struct input *input, size_t *size)
{
	size_t room = 1;
	uint8_t *content, *to;

	for (const uint8_t *at = input->at; at < input->end; at++)
		room += *at == 255 && at + 1 < input->end ? (size_t)at[1] * 40 + 1 : 1;
	to = content = malloc(room);
	CHECK(content);
	for (const uint8_t *at = input->at; at < input->end && to - content < CONTENT_MAX; at++) {
		if (*at == 255 && to > content && at + 1 < input->end) {
			memset(to, to[-1], (size_t)at[1] * 40);
			to += (size_t)*++at * 40;
		} else {
			*to++ = *at;
		}
	}
	*size = (size_t)(to - content);
	return content;
}

// What is to come, and when the visitor has had enough.
struct expected {
	struct input rest;
	int enough;
};

// The next line that ends, or that there is no room for: of that the beginning. False: there is none.
static bool next_line(struct input *rest, const uint8_t **line, size_t *length)
{
	const uint8_t *newline = rest->at < rest->end ? memchr(rest->at, '\n', (size_t)(rest->end - rest->at)) : NULL;

	*line = rest->at;
	*length = (size_t)((newline ? newline : rest->end) - rest->at);
	rest->at = newline ? newline + 1 : rest->end;
	if (*length <= LINE_MAX_LENGTH)
		return newline != NULL;
	*length = LINE_MAX_LENGTH + 1;
	return true;
}

static bool visit_line(void *context, const char *line, size_t length)
{
	struct expected *expected = context;
	const uint8_t *expected_line;
	size_t expected_length;

	CHECK(expected->enough > 0);
	CHECK(next_line(&expected->rest, &expected_line, &expected_length));
	CHECK(length == expected_length && memcmp(line, expected_line, length) == 0);
	return --expected->enough == 0;
}

// The next name that is a number.
static bool visit_number(void *context, pid_t number)
{
	struct expected *expected = context;
	struct input *rest = &expected->rest;

	while (rest->at < rest->end) {
		char name[NAME_MAX + 1] = "";
		unsigned long long value;
		size_t length = 0;

		while (rest->at < rest->end && *rest->at != '\n' && length < NAME_MAX)
			name[length++] = (char)*rest->at++;
		rest->at += rest->at < rest->end && *rest->at == '\n';
		errno = 0;
		value = strtoull(name, NULL, 10);
		if (name[0] == '\0' || name[strspn(name, "0123456789")] != '\0' || errno == ERANGE)
			continue;
		CHECK(number == (pid_t)value);
		return false;
	}
	CHECK(!"a number that is not in the folder");
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size < 2000 ? size : 2000);
	struct expected expected = { .enough = input_byte(&input) + 1 };
	const uint8_t *line;
	uint8_t *content;
	char *start;

	pieces = (struct input){ input.at, input.at + input_byte(&input) % 16 + 1 };
	pieces.end = pieces.end < input.end ? pieces.end : input.end;
	pieces.at += pieces.at < pieces.end;
	input.at = pieces.end;
	content = expand(&input, &size);
	file = expected.rest = input_of(content, size);
	CHECK(procfile_lines("/proc/x", visit_line, &expected) == 0 && !is_open);
	CHECK(expected.enough == 0 || !next_line(&expected.rest, &line, &size));

	size = (size_t)(file.end - content);
	file = expected.rest = input_of(content, size);
	CHECK(procfile_search("/proc", 0, visit_number, &expected) == 0 && !is_open);

	file = input_of(content, size);
	start = malloc(1024);
	CHECK(start && procfile_read("/proc/x", start, 1024) >= 0 && !is_open);
	free(start);
	free(content);
	return 0;
}
