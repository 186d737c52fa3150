// SPDX-License-Identifier: MIT
// A line of /proc/locks.
#include "columns.h"
#include "keepers.h"

// The columns. False: the line is about something else. *STRANGE: a device that no kernel has.
static bool model(const char *line, struct flock_line *lock, bool *strange)
{
	const char *at = columns_behind_word(line);
	uint64_t number;

	lock->waits = strncmp(at, "->", 2) == 0 && at[2] != '\0';
	if (lock->waits)
		at = columns_behind_word(at);
	if (strncmp(at, "FLOCK", 5) != 0)
		return false;
	at = columns_behind_word(columns_behind_word(columns_behind_word(at)));
	lock->pid = columns_number(at, &number) ? (pid_t)number : 0;
	at = columns_behind_word(at);
	if (!columns_device(&at, &lock->device, strange) || *at++ != ':' || !columns_number(at, &number))
		return false;
	lock->inode = number;
	return true;
}

static bool same(const struct flock_line *a, const struct flock_line *b)
{
	return a->pid == b->pid && a->device == b->device && a->inode == b->inode && a->waits == b->waits;
}

// As the kernel writes it, fs/locks.c, with a waiter behind a waiter one column further in.
static void write_and_read(struct input *input)
{
	struct flock_line lock, expected = { .waits = input_byte(input) & 1 };
	unsigned major = (unsigned)input_number(input, 2) & 0xfff, minor = (unsigned)input_number(input, 4) & 0xfffff;
	unsigned id = (unsigned)input_number(input, 2);
	const char *access = input_byte(input) & 1 ? "WRITE" : "READ ";
	char *line;
	int length;

	expected.device = makedev(major, minor);
	expected.inode = input_number(input, 8);
	expected.pid = (pid_t)(input_number(input, 4) & INT32_MAX);
	length = asprintf(&line, "%u: %*s%sFLOCK  ADVISORY  %s %d %02x:%02x:%llu 0 EOF", id, expected.waits ? 2 + (int)(id % 3) : 0,
			  expected.waits ? "->" : "", expected.waits ? " " : "", access, (int)expected.pid, major, minor,
			  (unsigned long long)expected.inode);
	CHECK(length > 0);
	CHECK(keepers_parse_flock_line(line, (size_t)length, &lock));
	CHECK(same(&lock, &expected));
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	char *line = input_string(&input);
	struct flock_line lock, expected = { 0 };
	bool strange = false, read, complete;

	complete = model(line, &expected, &strange);
	read = keepers_parse_flock_line(line, strlen(line), &lock);
	CHECK(strange || read == complete);
	CHECK(strange || !read || same(&lock, &expected));
	free(line);
	(void)keepers_parse_flock_line((const char *)data, size, &lock);
	input = input_of(data, size);
	write_and_read(&input);
	return 0;
}
