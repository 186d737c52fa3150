// SPDX-License-Identifier: MIT
#include "procfile.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct seen {
	int lines;
	size_t longest;
	bool stop;
};

static bool see(void *context, const char *line, size_t length)
{
	struct seen *seen = context;

	(void)line;
	seen->lines++;
	if (length > seen->longest)
		seen->longest = length;
	return seen->stop;
}

static bool stop_at_first(void *context, pid_t number)
{
	(void)number;
	return ++*(int *)context == 1;
}

static bool see_itself(void *context, pid_t number)
{
	*(bool *)context = *(bool *)context || number == getpid();
	return false;
}

static bool count(void *context, pid_t number)
{
	(void)number;
	++*(int *)context;
	return false;
}

static void of_a_line_that_is_too_long_the_beginning_is_seen(void **state)
{
	static char line[3 * PATH_MAX];
	char path[] = "/tmp/exlock-unit.XXXXXX";
	struct seen all = { 0 }, first = { .stop = true };
	FILE *file = fdopen(mkstemp(path), "w");

	(void)state;
	assert_non_null(file);
	memset(line, 'x', sizeof(line) - 1);
	assert_true(fprintf(file, "one\n%s\ntwo\n%.*s\n%s\nno newline", line, PATH_MAX, line, line) > 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(procfile_lines(path, see, &all), 0);
	assert_int_equal(all.lines, 5);
	assert_in_range(all.longest, PATH_MAX, 2 * PATH_MAX);
	assert_int_equal(procfile_lines(path, see, &first), 0);
	assert_int_equal(first.lines, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(procfile_lines(path, see, &all), -1);
}

static void a_folder_that_is_not_there_lists_nothing(void **state)
{
	int missing = 0, present = 0;

	(void)state;
	assert_int_equal(procfile_search("/proc/self/no-such-folder", 0, count, &missing), -1);
	assert_int_equal(procfile_search("/proc/self/task", 0, count, &present), 0);
	assert_int_equal(missing, 0);
	assert_int_equal(present, 1);
}

static void a_search_begins_at_a_number_and_ends_when_it_is_told_to(void **state)
{
	int seen = 0;
	bool itself = false;

	(void)state;
	assert_int_equal(procfile_search("/proc", 0, stop_at_first, &seen), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(procfile_search("/proc", getpid(), see_itself, &itself), 0);
	assert_true(itself);
	itself = false;
	assert_int_equal(procfile_search("/proc", getpid() + 3, see_itself, &itself), 0);
	assert_false(itself);
	assert_int_equal(procfile_search("/proc/self/no-such-folder", 0, stop_at_first, &seen), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_line_that_is_too_long_the_beginning_is_seen),
		cmocka_unit_test(a_search_begins_at_a_number_and_ends_when_it_is_told_to),
		cmocka_unit_test(a_folder_that_is_not_there_lists_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
