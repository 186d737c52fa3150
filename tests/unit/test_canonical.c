// SPDX-License-Identifier: MIT
// Paths that cannot be resolved, or only just; the others are in test_text.c.
#include "canonical.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char before[PATH_MAX], folder[] = "/tmp/exlock-unit.XXXXXX";

static int enter_folder(void **state)
{
	(void)state;
	return getcwd(before, sizeof(before)) && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
	(void)state;
	return chdir(before) == 0 && (rmdir(folder) == 0 || errno == ENOENT) ? 0 : -1;
}

static void assert_fails(const char *path, int error)
{
	char resolved[PATH_MAX];

	errno = 0;
	assert_int_equal(canonical_path(path, resolved), -1);
	assert_int_equal(errno, error);
}

static void fill(char *path, char first, char rest, size_t length)
{
	memset(path, rest, length);
	path[0] = first;
	path[length] = '\0';
}

static void a_path_that_is_too_long_is_an_error(void **state)
{
	char path[PATH_MAX + 1];

	(void)state;
	fill(path, '/', 'a', PATH_MAX);
	assert_fails(path, ENAMETOOLONG);
	// Short enough by itself, not behind the working directory.
	fill(path, 'a', 'a', PATH_MAX - 1);
	assert_fails(path, ENAMETOOLONG);
}

static void a_link_whose_target_makes_the_path_too_long_is_an_error(void **state)
{
	char target[PATH_MAX], path[PATH_MAX] = "link/", resolved[PATH_MAX];

	(void)state;
	fill(target, '.', '/', 3000);
	assert_int_equal(symlink(target, "link"), 0);
	fill(path + strlen("link/"), 'b', '/', 1000);
	assert_int_equal(canonical_path(path, resolved), 0);
	fill(path + strlen("link/"), 'b', '/', 3000);
	assert_fails(path, ENAMETOOLONG);
	assert_int_equal(unlink("link"), 0);
}

static void only_the_last_component_may_be_missing(void **state)
{
	char resolved[PATH_MAX], expected[PATH_MAX + sizeof("/missing")];

	(void)state;
	assert_fails("missing/file", ENOENT);
	assert_int_equal(canonical_path("missing", resolved), 0);
	assert_non_null(realpath(".", expected));
	strcat(expected, "/missing");
	assert_string_equal(resolved, expected);
}

static void a_relative_path_begins_at_the_root_when_that_is_the_working_directory(void **state)
{
	char resolved[PATH_MAX];

	(void)state;
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(canonical_path("dev/./null", resolved), 0);
	assert_string_equal(resolved, "/dev/null");
	assert_int_equal(chdir(folder), 0);
}

static void a_relative_path_in_a_folder_that_is_gone_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(rmdir(folder), 0);
	assert_fails("file", ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_that_is_too_long_is_an_error),
		cmocka_unit_test(a_link_whose_target_makes_the_path_too_long_is_an_error),
		cmocka_unit_test(only_the_last_component_may_be_missing),
		cmocka_unit_test(a_relative_path_begins_at_the_root_when_that_is_the_working_directory),
		cmocka_unit_test(a_relative_path_in_a_folder_that_is_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
