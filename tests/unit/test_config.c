// SPDX-License-Identifier: MIT
#include "config.h"
#include "unit.h"

#include <string.h>

static struct config parsed(char *setting)
{
	char *environment[] = { "PATH=/bin", setting, NULL };
	struct config_error error = { NULL, NULL, NULL };
	struct config config;

	if (!config_parse(environment, &config, &error))
		fail_msg("%s was not understood", setting);
	return config;
}

static void refused(char *setting)
{
	char *environment[] = { "PATH=/bin", setting, NULL };
	struct config_error error = { NULL, NULL, NULL };
	struct config config;

	if (config_parse(environment, &config, &error))
		fail_msg("%s was understood", setting);
	assert_memory_equal(setting, error.variable, strlen(error.variable));
	assert_string_equal(setting + strlen(error.variable) + 1, error.value);
	assert_true(strlen(error.why) > 0);
}

static void an_empty_environment_gives_the_defaults(void **state)
{
	char *environment[] = { NULL };
	struct config_error error;
	struct config config;

	(void)state;
	assert_true(config_parse(environment, &config, &error));
	assert_null(config.name);
	assert_null(config.dir);
	assert_null(config.log_path);
	assert_int_equal(config.exit_code, 1);
	assert_int_equal(config.on_held, ON_HELD_ABORT);
	assert_true(config.timeout_ns == UINT64_MAX);
	assert_false(config.quiet || config.by_args || config.scope_tree || config.run_on_error || config.log_stderr);
}

static void empty_is_the_same_as_unset(void **state)
{
	(void)state;
	assert_null(parsed("EXCLUSIVELOCK_NAME=").name);
	assert_int_equal(parsed("EXCLUSIVELOCK_EXIT_CODE=").exit_code, 1);
	assert_true(parsed("EXCLUSIVELOCK_TIMEOUT=").timeout_ns == UINT64_MAX);
}

static void every_variable_is_understood(void **state)
{
	(void)state;
	assert_string_equal(parsed("EXCLUSIVELOCK_NAME=a=b c").name, "a=b c");
	assert_true(parsed("EXCLUSIVELOCK_BY=args").by_args);
	assert_false(parsed("EXCLUSIVELOCK_BY=exe").by_args);
	assert_string_equal(parsed("EXCLUSIVELOCK_DIR=/a").dir, "/a");
	assert_int_equal(parsed("EXCLUSIVELOCK_ON_HELD=abort").on_held, ON_HELD_ABORT);
	assert_int_equal(parsed("EXCLUSIVELOCK_ON_HELD=flag").on_held, ON_HELD_FLAG);
	assert_int_equal(parsed("EXCLUSIVELOCK_ON_HELD=wait").on_held, ON_HELD_WAIT);
	assert_int_equal(parsed("EXCLUSIVELOCK_EXIT_CODE=0").exit_code, 0);
	assert_int_equal(parsed("EXCLUSIVELOCK_EXIT_CODE=255").exit_code, 255);
	assert_true(parsed("EXCLUSIVELOCK_QUIET=1").quiet);
	assert_false(parsed("EXCLUSIVELOCK_QUIET=0").quiet);
	assert_true(parsed("EXCLUSIVELOCK_LOG=stderr").log_stderr);
	assert_string_equal(parsed("EXCLUSIVELOCK_LOG=/l").log_path, "/l");
	assert_true(parsed("EXCLUSIVELOCK_SCOPE=tree").scope_tree);
	assert_false(parsed("EXCLUSIVELOCK_SCOPE=process").scope_tree);
	assert_true(parsed("EXCLUSIVELOCK_ON_ERROR=run").run_on_error);
	assert_false(parsed("EXCLUSIVELOCK_ON_ERROR=abort").run_on_error);
}

static void timeouts_have_decimals(void **state)
{
	static const struct {
		char *setting;
		uint64_t nanoseconds;
	} cases[] = {
		{ "EXCLUSIVELOCK_TIMEOUT=0", 0 },
		{ "EXCLUSIVELOCK_TIMEOUT=2", UINT64_C(2000000000) },
		{ "EXCLUSIVELOCK_TIMEOUT=0.25", 250000000 },
		{ "EXCLUSIVELOCK_TIMEOUT=.5", 500000000 },
		{ "EXCLUSIVELOCK_TIMEOUT=3.", UINT64_C(3000000000) },
		{ "EXCLUSIVELOCK_TIMEOUT=1.0000000019", UINT64_C(1000000001) },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_true(parsed(cases[i].setting).timeout_ns == cases[i].nanoseconds);
}

static void what_cannot_be_understood_is_named(void **state)
{
	static char *const settings[] = {
		"EXCLUSIVELOCK_TIMEOUT=abc", "EXCLUSIVELOCK_TIMEOUT=-1", "EXCLUSIVELOCK_TIMEOUT=1w", "EXCLUSIVELOCK_TIMEOUT=1mm", "EXCLUSIVELOCK_TIMEOUT=.",
		"EXCLUSIVELOCK_TIMEOUT=1.2.3", "EXCLUSIVELOCK_TIMEOUT= 1", "EXCLUSIVELOCK_TIMEOUT=1e3",
		"EXCLUSIVELOCK_TIMEOUT=99999999999999999999", "EXCLUSIVELOCK_TIMEOUT=18446744073.5", "EXCLUSIVELOCK_TIMEOUT=213504d",
		"EXCLUSIVELOCK_EXIT_CODE=256", "EXCLUSIVELOCK_EXIT_CODE=-1", "EXCLUSIVELOCK_EXIT_CODE=1 ",
		"EXCLUSIVELOCK_EXIT_CODE=0x1", "EXCLUSIVELOCK_BY=arg", "EXCLUSIVELOCK_ON_HELD=Wait", "EXCLUSIVELOCK_DIR=locks",
		"EXCLUSIVELOCK_QUIET=yes", "EXCLUSIVELOCK_LOG=log", "EXCLUSIVELOCK_SCOPE=all", "EXCLUSIVELOCK_ON_ERROR=0",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(settings); i++)
		refused(settings[i]);
}

static void a_longer_variable_is_another_one(void **state)
{
	char *environment[] = { "EXCLUSIVELOCK_NAMES=x", "EXCLUSIVELOCK_NAM=y", NULL };

	(void)state;
	assert_null(config_get(environment, "EXCLUSIVELOCK_NAME"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_environment_gives_the_defaults),
		cmocka_unit_test(empty_is_the_same_as_unset),
		cmocka_unit_test(every_variable_is_understood),
		cmocka_unit_test(timeouts_have_decimals),
		cmocka_unit_test(what_cannot_be_understood_is_named),
		cmocka_unit_test(a_longer_variable_is_another_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
