// SPDX-License-Identifier: MIT
// What exlockctl concludes: from file names to names, from facts to states.
#include "../helpers/words.h"
#include "lockname.h"
#include "survey.h"
#include "text.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static void facts_have_one_meaning(void **state)
{
	static const struct {
		struct survey_facts facts;
		enum survey_state meaning;
	} cases[] = {
		{ { .recorded = 1 }, SURVEY_FOREIGN },
		{ { .regular = true, .recorded = 7, .recorded_alive = true, .locked = true }, SURVEY_HELD },
		// A daemon whose parent has ended; a peer that wrote nothing.
		{ { .regular = true, .recorded = 7, .locked = true, .locker = 8 }, SURVEY_HELD },
		{ { .regular = true, .empty = true, .locked = true }, SURVEY_HELD },
		{ { .regular = true, .recorded = 7, .recorded_alive = true }, SURVEY_HELD_BY_PID },
		{ { .regular = true, .recorded = 7, .ending = true }, SURVEY_ENDING },
		{ { .regular = true, .recorded = 7 }, SURVEY_STALE },
		{ { .regular = true }, SURVEY_MALFORMED },
		{ { .regular = true, .empty = true }, SURVEY_STARTING },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(survey_judge(&cases[i].facts), cases[i].meaning);
}

static void only_who_holds_is_called_held(void **state)
{
	(void)state;
	for (int i = SURVEY_FREE; i <= SURVEY_UNREADABLE; i++)
		assert_int_equal(survey_is_held((enum survey_state)i),
				 i == SURVEY_HELD || i == SURVEY_HELD_BY_PID || i == SURVEY_ENDING);
}

static void random_name(char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		name[i] = (char)(random() % 3 ? "ab %+"[random() % 5] : 1 + random() % 255);
	name[length] = '\0';
}

static void a_name_comes_back_from_its_file_name(void **state)
{
	char name[400], path[PATH_MAX], back[NAME_MAX + 1];
	struct lockdir found;

	(void)state;
	srandom(1);
	for (int round = 0; round < 5000; round++) {
		const struct lockname lockname = { .text = name };
		ssize_t length;
		bool cut;

		random_name(name, (size_t)(random() % (long)(sizeof(name) - 1)));
		assert_int_equal(lockname_path(&lockname, "/d", NULL, path, &found), 0);
		length = lockname_of_file(text_basename(path), back, &cut);
		assert_true(length >= 0);
		assert_int_equal(memcmp(back, name, (size_t)length), 0);
		assert_true(cut || (size_t)length == strlen(name));
		assert_true(!cut || strlen(text_basename(path)) == NAME_MAX);
	}
}

static void other_file_names_are_no_lock_files(void **state)
{
	static const char *const files[] = { "", "x", LOCK_PREFIX, LOCK_PREFIX "a", LOCK_PREFIX "a.txt", "a.lock",
		LOCK_FILE("%"), LOCK_FILE("%4"), LOCK_FILE("%4g"), LOCK_FILE("%ff"), ".lock" };
	char name[NAME_MAX + 1];
	bool cut;

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		assert_int_equal(lockname_of_file(files[i], name, &cut), -1);
	assert_int_equal(lockname_of_file(LOCK_PREFIX "%41+.pid", name, &cut), 2);
	assert_string_equal(name, "A ");
	assert_false(cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_have_one_meaning),
		cmocka_unit_test(only_who_holds_is_called_held),
		cmocka_unit_test(a_name_comes_back_from_its_file_name),
		cmocka_unit_test(other_file_names_are_no_lock_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
