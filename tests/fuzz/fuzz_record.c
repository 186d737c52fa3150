// SPDX-License-Identifier: MIT
// The content of a lock file, into which anybody may write anything.
#include "fuzz.h"
#include "record.h"
#include "text.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

// The same by libc: a number of a PID's size between blanks, a newline right behind it for a stamp.
static struct record model(const char *content, size_t length, long nanoseconds)
{
	struct record record = { .stamp = PROCESS_NO_STAMP, .empty = length == 0 };
	char *copy = input_copy((const uint8_t *)content, length);
	const char *digits = copy + strspn(copy, " \t"), *end = digits + strspn(digits, "0123456789");
	unsigned long long number;

	errno = 0;
	number = strtoull(digits, NULL, 10);
	if (end > digits && errno == 0 && number <= INT32_MAX &&
	    (end == copy + length || (*end && strchr(" \t\r\n", *end)))) {
		record.pid = (pid_t)number;
		record.stamp = *end == '\n' ? (uint32_t)nanoseconds : PROCESS_NO_STAMP;
	}
	free(copy);
	return record;
}

static bool same(const struct record *a, const struct record *b)
{
	return a->pid == b->pid && a->stamp == b->stamp && a->empty == b->empty;
}

// What we write is read back, by Python's rule, too: a number, its blanks stripped.
static void write_and_read(pid_t pid, uint32_t stamp)
{
	char content[32];
	int length = snprintf(content, sizeof(content), "%d\n", (int)pid);
	struct record stamped = record_parse(content, (size_t)length, (long)stamp);
	struct record bare = record_parse(content, (size_t)length - 1, (long)stamp);

	CHECK(stamped.pid == pid && stamped.stamp == stamp && !stamped.empty);
	CHECK(bare.pid == pid && bare.stamp == PROCESS_NO_STAMP && !bare.empty);
	// Half a record never has a stamp, and never names a process of more digits.
	for (int cut = 1; cut < length; cut++) {
		struct record half = record_parse(content, (size_t)cut, (long)stamp);

		CHECK(half.stamp == PROCESS_NO_STAMP && half.pid <= pid);
	}
}

// The file as it is read. Where a number goes on beyond what is looked at, nobody is named.
static void read_file(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct record record, expected;
	struct stat status;
	size_t end;

	if (fd == -1)
		fd = memfd_create("lock", MFD_CLOEXEC);
	CHECK(fd != -1);
	CHECK(pwrite(fd, data, size, 0) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0);
	CHECK(record_read(fd, &record, &status) == 0);
	expected = model((const char *)data, size, status.st_mtim.tv_nsec);
	for (end = 0; end < size && (data[end] == ' ' || data[end] == '\t'); end++)
		;
	for (; end < size && data[end] >= '0' && data[end] <= '9'; end++)
		;
	if (end < 64)
		CHECK(same(&record, &expected));
	else
		CHECK(record.pid == 0 && record.stamp == PROCESS_NO_STAMP && !record.empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	uint32_t stamp = (uint32_t)(input_number(&input, 4) % 1000000000u);
	pid_t pid = (pid_t)(input_number(&input, 4) & INT32_MAX);
	struct record record = record_parse((const char *)data, size, stamp);
	struct record expected = model((const char *)data, size, stamp);

	CHECK(same(&record, &expected));
	CHECK(record.pid >= 0);
	CHECK(record.stamp == PROCESS_NO_STAMP || record.stamp < 1000000000u);
	write_and_read(pid, stamp);
	read_file(data, size);
	return 0;
}
