// SPDX-License-Identifier: MIT
#include "successor.h"
#include "unit.h"

#include <string.h>

static bool same(const char *one, const char *other)
{
	return strlen(one) == strlen(other) && successor_same_text(one, other, strlen(one));
}

static void texts_are_the_same_byte_for_byte(void **state)
{
	(void)state;
	assert_true(same("/usr/bin/app", "/usr/bin/app"));
	assert_false(same("/usr/bin/app", "/usr/bin/apq"));
	assert_false(same("/usr/bin/app", "/usr/bjn/app"));
	assert_true(successor_same_text("app\0-D\0", "app\0-D\0", 7));
	assert_false(successor_same_text("app\0-D\0", "app\0-R\0", 7));
}

static void the_folder_of_an_appimage_may_have_another_name(void **state)
{
	(void)state;
	assert_true(same("/tmp/.mount_appAbCdEf/usr/app", "/tmp/.mount_appXyZ123/usr/app"));
	assert_true(successor_same_text("/tmp/.mount_aAbCdEf/app\0-x\0", "/tmp/.mount_aXyZ123/app\0-x\0", 27));
	assert_false(same("/tmp/.mount_appAbCdEf/usr/app", "/tmp/.mount_appXyZ123/usr/apq"));
	assert_false(same("/tmp/.mount_appAbCdEf/usr/app", "/tmp/.mount_app/XyZ12/usr/app"));
	assert_false(successor_same_text("/tmp/.mount_aAbCdEf\0-x", "/tmp/.mount_aXyZ123\0-y", 22));
	assert_false(same("/tmp/.mouns_appAbCdEf/app", "/tmp/.mouns_appXyZ123/app"));
	assert_false(same("/tmp/mount_appAbCdEf/app", "/tmp/mount_appXyZ123/app"));
	// What looks like its beginning begins once more.
	assert_true(same("/.m/.mount_a/x", "/.m/.mount_b/x"));
}

#define NEXT(own, next) successor_runs_next(own, sizeof(own) - 1, next, sizeof(next) - 1)

static void a_command_that_ends_with_the_arguments_runs_the_program_next(void **state)
{
	(void)state;
	assert_true(NEXT("/bin/sh\0./app\0a\0", "nohup\0./app\0a\0"));
	assert_true(NEXT("/opt/app\0-d\0", "env\0A=1\0/opt/app\0-d\0"));
	assert_true(NEXT("/opt/app\0", "nice\0/opt/app\0"));
	// One that is just being executed.
	assert_true(NEXT("/opt/app\0", ""));
	assert_false(NEXT("/opt/app\0", "nice\0/opt/app\0-x\0"));
	assert_false(NEXT("/opt/app\0", "tail\0-f\0/tmp/opt/app\0"));
	assert_false(NEXT("/opt/app\0-d\0", "sleep\0" "1\0"));
	assert_false(NEXT("/opt/app\0-d\0", "d\0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_the_same_byte_for_byte),
		cmocka_unit_test(the_folder_of_an_appimage_may_have_another_name),
		cmocka_unit_test(a_command_that_ends_with_the_arguments_runs_the_program_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
