// SPDX-License-Identifier: MIT
#include "record.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct record parsed(const char *content)
{
	return record_parse(content, strlen(content), 4321);
}

static void a_newline_says_that_there_is_a_stamp(void **state)
{
	struct record stamped = parsed("27922\n"), bare = parsed("27922");

	(void)state;
	assert_int_equal(stamped.pid, 27922);
	assert_int_equal(stamped.stamp, 4321);
	assert_int_equal(bare.pid, 27922);
	assert_true(bare.stamp == PROCESS_NO_STAMP);
}

static void a_second_newline_says_that_it_was_handed_on(void **state)
{
	struct record handed_on = parsed("27922\n\n");

	(void)state;
	assert_true(handed_on.handed_on);
	assert_int_equal(handed_on.pid, 27922);
	assert_int_equal(handed_on.stamp, 4321);
	assert_false(parsed("27922\n").handed_on);
	assert_false(parsed("27922\n \n").handed_on);
}

static void blanks_around_the_pid_are_passed_over(void **state)
{
	(void)state;
	assert_int_equal(parsed(" 12").pid, 12);
	assert_int_equal(parsed("12\n  ").pid, 12);
	assert_int_equal(parsed("12 ").pid, 12);
	assert_true(parsed("12 ").stamp == PROCESS_NO_STAMP);
}

static void what_is_no_pid_names_no_process(void **state)
{
	static const char *const contents[] = { "", "\n", "abc", "12abc", "-5\n", "99999999999\n", "0\n", "x12\n" };

	(void)state;
	for (size_t i = 0; i < COUNT(contents); i++)
		assert_int_equal(parsed(contents[i]).pid, 0);
	assert_true(parsed("").empty);
	assert_false(parsed("\n").empty);
}

static int temporary_file(void)
{
	char path[] = "/tmp/exlock-unit.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd != -1);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static void a_record_is_read_as_it_was_written(void **state)
{
	struct process_self self = process_self();
	struct record record;
	struct stat status;
	int fd = temporary_file();

	(void)state;
	assert_int_equal(pwrite(fd, "1234567890123\n", 14, 0), 14);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(record_write(fd, self.pid, self.start, &status), 0);
	assert_int_equal(record_read(fd, &record, &status), 0);
	assert_int_equal(record.pid, self.pid);
	assert_true(record_is_of(&record, &self));
	assert_true(record_is_alive(&record));
	close(fd);
}

static void a_recycled_pid_is_not_alive(void **state)
{
	struct process_self self = process_self();
	struct record record;
	struct stat status;
	int fd = temporary_file();

	(void)state;
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(record_write(fd, self.pid, self.start + 1, &status), 0);
	assert_int_equal(record_read(fd, &record, &status), 0);
	assert_false(record_is_of(&record, &self));
	assert_false(record_is_alive(&record));
	close(fd);
}

static void a_hint_leaves_alone_what_others_have_hinted_at_since(void **state)
{
	struct stat before, now;
	int fd = temporary_file();

	(void)state;
	assert_int_equal(fchmod(fd, 0644 | RECORD_HINT_LEFT), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(fchmod(fd, 0644 | RECORD_HINT_MAPPED), 0);
	record_hint(fd, &before, RECORD_HINT_WAITERS);
	assert_int_equal(fstat(fd, &now), 0);
	assert_int_equal(now.st_mode & 07777, RECORD_MODE | RECORD_HINT_MAPPED | RECORD_HINT_WAITERS);
	close(fd);
}

static void a_written_record_takes_the_last_word_of_the_one_before_away(void **state)
{
	struct process_self self = process_self();
	struct stat status;
	int fd = temporary_file();

	(void)state;
	assert_int_equal(fchmod(fd, 0644 | RECORD_HINT_LEFT | RECORD_HINT_WAITERS), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(record_write(fd, self.pid, self.start, &status), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 07777, RECORD_MODE | RECORD_HINT_WAITERS);
	close(fd);
}

static void without_a_start_time_the_record_has_no_stamp(void **state)
{
	struct record record;
	struct stat status;
	int fd = temporary_file();

	(void)state;
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(record_write(fd, getpid(), PROCESS_START_UNKNOWN, &status), 0);
	assert_int_equal(record_read(fd, &record, &status), 0);
	assert_int_equal(record.pid, getpid());
	assert_true(record.stamp == PROCESS_NO_STAMP);
	close(fd);
}

static void a_number_that_goes_on_behind_what_is_read_is_no_pid(void **state)
{
	struct process_self self = process_self();
	char content[128];
	struct record record;
	struct stat status;
	int fd = temporary_file();

	(void)state;
	// Our own PID with as many zeros before it as bring it to the 64th byte; one digit more makes it another number.
	for (int length = 62; length <= 66; length++) {
		snprintf(content, sizeof(content), "%0*d", length, (int)self.pid);
		strcpy(content + length, "1\n");
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, content, (size_t)length + 2, 0), length + 2);
		assert_int_equal(record_read(fd, &record, &status), 0);
		assert_int_not_equal(record.pid, self.pid);
		assert_false(record.empty);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newline_says_that_there_is_a_stamp),
		cmocka_unit_test(a_second_newline_says_that_it_was_handed_on),
		cmocka_unit_test(blanks_around_the_pid_are_passed_over),
		cmocka_unit_test(what_is_no_pid_names_no_process),
		cmocka_unit_test(a_record_is_read_as_it_was_written),
		cmocka_unit_test(a_recycled_pid_is_not_alive),
		cmocka_unit_test(a_hint_leaves_alone_what_others_have_hinted_at_since),
		cmocka_unit_test(a_written_record_takes_the_last_word_of_the_one_before_away),
		cmocka_unit_test(without_a_start_time_the_record_has_no_stamp),
		cmocka_unit_test(a_number_that_goes_on_behind_what_is_read_is_no_pid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
