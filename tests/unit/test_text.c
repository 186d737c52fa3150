// SPDX-License-Identifier: MIT
// The small pure parts: patterns, marks, environments, paths, and what is printed.
#include "../helpers/words.h"
#include "canonical.h"
#include "environment.h"
#include "lockname.h"
#include "mark.h"
#include "pattern.h"
#include "report.h"
#include "unit.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vis.h>

static void patterns_match_as_fnmatch_does(void **state)
{
	static const char alphabet[] = "ab*?[]-!\\/";
	char pattern[7], string[5];

	(void)state;
	srandom(1);
	for (int round = 0; round < 400000; round++) {
		size_t length = (size_t)random() % sizeof(pattern), size = (size_t)random() % sizeof(string);

		for (size_t i = 0; i < length; i++)
			pattern[i] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		for (size_t i = 0; i < size; i++)
			string[i] = "ab/-]"[random() % 5];
		pattern[length] = string[size] = '\0';
		// What POSIX leaves open: a backslash at the end, ranges with an odd end, brackets that do not end.
		if (strchr(pattern, '\\') || strchr(pattern, '-') || strstr(pattern, "[!"))
			continue;
		if (pattern_match(pattern, length, string) != (fnmatch(pattern, string, 0) == 0))
			fail_msg("'%s' and '%s'", pattern, string);
	}
}

static void patterns_have_ranges_negation_and_quotes(void **state)
{
	static const struct {
		const char *pattern, *string;
		bool matches;
	} cases[] = {
		{ "[a-c]x", "bx", true },   { "[a-c]x", "dx", false }, { "[!a-c]x", "dx", true }, { "[^a]x", "ax", false },
		{ "\\*", "*", true },	    { "\\*", "x", false },     { "[]]", "]", true },	  { "[a-]", "-", true },
		{ "a[", "a[", true },	    { "*.sh", "x.sh", true },  { "*.sh", "x.sh2", false }, { "", "", true },
		{ "[\\]a]", "]", true },    { "[a-\\c]", "b", true },  { "[a-\\]]", "a", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(pattern_match(cases[i].pattern, strlen(cases[i].pattern), cases[i].string), cases[i].matches);
}

static void a_list_selects_by_path_or_base_name(void **state)
{
	(void)state;
	assert_true(pattern_selects("x:sleep", "/usr/bin/sleep"));
	assert_true(pattern_selects("/usr/*:y", "/usr/bin/sleep"));
	assert_false(pattern_selects("slee:bin", "/usr/bin/sleep"));
	assert_false(pattern_selects("::", "/usr/bin/sleep"));
}

static void a_mark_is_written_as_it_was_read(void **state)
{
	static const char *const texts[] = { "1.2.3.4.5", "1.0.0.0.0", "2147483647.18446744073709551615.18446744073709551615.18446744073709551615.2147483647",
					     "1.2.3.4.5.7.6.1000", "1.2.3.4.5.0.18446744073709551615.2147483647", "1.2.3.4.5+1.2.3.1001", "1.2.3.4.5.2.6.7+0.1.2.3+4.5.6.7",
					     "1.2.3.4.5+0.1.1.1+0.1.1.2+0.1.1.3+0.1.1.4+0.1.1.5+0.1.1.6+0.1.1.7+7.18446744073709551615.18446744073709551615.2147483647" };
	struct mark mark;
	char text[MARK_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_true(mark_parse(texts[i], &mark));
		mark_write(&mark, text);
		assert_string_equal(text, texts[i]);
	}
}

static void a_mark_says_what_was_handed_over(void **state)
{
	struct mark mark;

	(void)state;
	assert_true(mark_parse("11.12.13.14.15.5.16.17+2.21.22.23+1.31.32.33", &mark));
	assert_true(mark.pid == 11 && mark.start == 12 && mark.lock.device == 13 && mark.lock.inode == 14 && mark.session == 15);
	assert_true(mark.lock.flags == (MARK_TREE | MARK_LAYERED) && mark.space == 16 && mark.lock.number == 17 && mark.outers == 2);
	assert_true(mark.outer[0].flags == MARK_STAYS && mark.outer[0].device == 21 && mark.outer[0].inode == 22 && mark.outer[0].number == 23);
	assert_true(mark.outer[1].flags == MARK_TREE && mark.outer[1].number == 33);
	assert_true(mark_parse("11.12.13.14.15", &mark));
	assert_true(mark.lock.number == -1 && mark.lock.flags == 0 && mark.outers == 0);
}

static void of_too_many_outer_locks_the_oldest_goes(void **state)
{
	struct mark mark = { .outers = 0 };

	(void)state;
	for (int i = 0; i < MARK_OUTER_MAX; i++)
		assert_int_equal(mark_add_outer(&mark, &(struct mark_descriptor){ .number = 100 + i }), -1);
	assert_int_equal(mark_add_outer(&mark, &(struct mark_descriptor){ .number = 7 }), 100);
	assert_int_equal(mark.outers, MARK_OUTER_MAX);
	assert_int_equal(mark.outer[0].number, 101);
	assert_int_equal(mark.outer[MARK_OUTER_MAX - 1].number, 7);
}

static void what_is_no_mark_is_refused(void **state)
{
	static const char *const texts[] = { "", "1", "1.2.3.4", "1.2.", "1.2.3.4.", "1.2.3.4.5.", "1.2.3.4.5.6", "1.2.3.4.5.6.7", "1.2.3.4.5.8.7.9", "1.2.3.4.5.6.7.8.9", "a.b.c.d.e", "1.2.3.4.5 ",
					     "-1.2.3.4.5", "99999999999.1.1.1.1", "1.2.3.4.99999999999", "1.2.3.4.5.99999999999", "1..3.4.5",
					     "0.2.3.4.5", "01.2.3.4.5", "1.2.3.4.05", "1.2.3.4.5.0.0.00", "1.2.3.4.5.0.0.2147483648", "1.2.3.4.5+", "1.2.3.4.5+1.2.3", "1.2.3.4.5+1.2.3.4.5", "1.2.3.4.5+8.2.3.4",
					     "1.2.3.4.5+1.2.3.4+", "1.2.3.4.5+0.1.1.1+0.1.1.2+0.1.1.3+0.1.1.4+0.1.1.5+0.1.1.6+0.1.1.7+0.1.1.8+0.1.1.9",
					     "1.18446744073709551616.3.4.5" };
	struct mark mark;

	(void)state;
	assert_false(mark_parse(NULL, &mark));
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_false(mark_parse(texts[i], &mark));
}

static void our_entries_alone_leave_the_preload(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{ "/a/libexlock.so", "" },
		{ "libexlock.so:/b/other.so", "/b/other.so" },
		{ "/b/other.so:/a/libexlock.so", "/b/other.so" },
		{ "/b/x.so /a/libexlock.so:/c/y.so", "/b/x.so:/c/y.so" },
		{ "/a/libexlock.so:/d/libexlock.so", "" },
		{ "/a/mylibexlock.so:/a/libexlock.so.1", "/a/mylibexlock.so:/a/libexlock.so.1" },
		{ "", "" },
	};
	char value[64];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		strcpy(value, cases[i].before);
		environment_strip_entries(value, "libexlock.so");
		assert_string_equal(value, cases[i].after);
	}
}

static void settings_are_rewritten_in_place_or_added(void **state)
{
	char roomy[] = "A=xxxxxx", tight[] = "B=", gone[] = "C=old";
	char *environment[] = { roomy, "Z=z", tight, gone, NULL };
	const struct setting settings[] = { { "A", "12" }, { "B", "long" }, { "C", "" }, { "D", "new" }, { "E", "" } };
	char memory[200];
	struct environment_room room = { memory, sizeof(memory) };
	char **result = environment_apply(environment, settings, COUNT(settings), &room);

	(void)state;
	assert_true((char *)result >= memory && (char *)result < memory + sizeof(memory));
	assert_string_equal(roomy, "A=12");
	assert_memory_equal(roomy + 4, "\0\0\0\0", 5);
	assert_string_equal(gone, "C=");
	assert_string_equal(result[0], "A=12");
	assert_string_equal(result[1], "Z=z");
	assert_string_equal(result[2], "B=long");
	assert_string_equal(result[4], "D=new");
	assert_null(result[5]);
}

static void a_setting_without_room_gets_memory_of_its_own(void **state)
{
	static char value[3000];
	char *environment[] = { NULL }, memory[2 * sizeof(char *)];
	const struct setting settings[] = { { "LONG", value }, { "SHORT", "1" } };
	struct environment_room room = { memory, sizeof(memory) };
	char **result;

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	result = environment_apply(environment, settings, COUNT(settings), &room);
	assert_int_equal(strlen(result[0]), strlen("LONG=") + sizeof(value) - 1);
	assert_string_equal(result[1], "SHORT=1");
	assert_ptr_equal(result[1], memory);
	assert_null(result[2]);
}

static void any_number_of_settings_is_applied(void **state)
{
	enum { MANY = 1000 };
	static char names[MANY][8];
	static struct setting settings[MANY];
	char *environment[] = { (char[]){ "V7=" }, NULL }, memory[1];
	struct environment_room room = { memory, sizeof(memory) };
	char **result;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "V%d", i);
		settings[i] = (struct setting){ names[i], "1" };
	}
	result = environment_apply(environment, settings, MANY, &room);
	while (result[count])
		count++;
	assert_int_equal(count, MANY);
	assert_string_equal(result[0], "V7=1");
	assert_string_equal(result[MANY - 1], "V999=1");
}

static void paths_resolve_as_realpath_has_them(void **state)
{
	static const char *const paths[] = { "/",	"/usr/../usr/./bin//env", ".",	  "..", "a/b",	 "a/link/../c",
					     "loop/x", "/var/lock",		  "a/up", "rel", "a/b/../../rel" };
	char folder[] = "/tmp/exlock-unit.XXXXXX", before[PATH_MAX], expected[PATH_MAX], resolved[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(system("mkdir -p a/b a/c && ln -s b a/link && ln -s loop loop && ln -s .. a/up && ln -s a/link rel"), 0);
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (realpath(paths[i], expected)) {
			assert_int_equal(canonical_path(paths[i], resolved), 0);
			assert_string_equal(resolved, expected);
		} else {
			assert_int_equal(canonical_path(paths[i], resolved), -1);
		}
	}
	assert_int_equal(chdir(before), 0);
	snprintf(expected, sizeof(expected), "rm -r %s", folder);
	assert_int_equal(system(expected), 0);
}

static void a_long_name_ends_in_a_digest_of_the_whole(void **state)
{
	static char one[5001], other[5001];
	char path[PATH_MAX], other_path[PATH_MAX];
	struct lockname name = { .text = one }, other_name = { .text = other };
	struct lockdir found;

	(void)state;
	memset(one, '/', 5000);
	memset(other, '/', 5000);
	other[4999] = 'x';
	assert_int_equal(lockname_path(&name, "/d", NULL, path, &found), 0);
	assert_int_equal(lockname_path(&other_name, "/d", NULL, other_path, &found), 0);
	assert_int_equal(strlen(path), strlen("/d/") + 255);
	assert_string_not_equal(path, other_path);
	assert_string_equal(path + strlen(path) - 5, ".lock");
	one[0] = '\0';
	assert_int_equal(lockname_path(&(struct lockname){ .text = "a b/%" }, "/d", NULL, path, &found), 0);
	assert_string_equal(path, "/d/" LOCK_FILE("a+b%2F%25"));
}

// What report_refused prints for NAME, read back from a pipe in the place of standard error.
static void refused_line(const char *text, char *line, size_t size)
{
	struct lockname name = { .text = text };
	int ends[2], before = dup(STDERR_FILENO);
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) != -1);
	report_refused(&name, 27922);
	assert_true(dup2(before, STDERR_FILENO) != -1);
	length = read(ends[0], line, size - 1);
	assert_true(length > 0);
	line[length] = '\0';
	close(before);
	close(ends[0]);
	close(ends[1]);
}

static void a_name_is_printed_as_vis_has_it(void **state)
{
	char name[256], visible[4 * sizeof(name) + 1], expected[2048], line[2048];

	(void)state;
	for (int i = 1; i < 256; i++)
		name[i - 1] = (char)i;
	name[255] = '\0';
	strvis(visible, name, VIS_OCTAL | VIS_NL | VIS_TAB);
	snprintf(expected, sizeof(expected), REFUSAL_PID, visible, 27922);
	refused_line(name, line, sizeof(line));
	assert_string_equal(line, expected);
}

static void errors_have_libcs_words(void **state)
{
	static const int errors[] = { EPERM, ENOENT, EACCES, ENOSPC, EROFS, ELOOP, ENXIO, EISDIR, ENOTDIR, EMFILE, ENOLCK };

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++)
		assert_string_equal(report_errno(errors[i]), strerror(errors[i]));
	assert_string_equal(report_errno(4000), "error 4000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_fnmatch_does),
		cmocka_unit_test(patterns_have_ranges_negation_and_quotes),
		cmocka_unit_test(a_list_selects_by_path_or_base_name),
		cmocka_unit_test(a_mark_is_written_as_it_was_read),
		cmocka_unit_test(a_mark_says_what_was_handed_over),
		cmocka_unit_test(of_too_many_outer_locks_the_oldest_goes),
		cmocka_unit_test(what_is_no_mark_is_refused),
		cmocka_unit_test(our_entries_alone_leave_the_preload),
		cmocka_unit_test(settings_are_rewritten_in_place_or_added),
		cmocka_unit_test(a_setting_without_room_gets_memory_of_its_own),
		cmocka_unit_test(any_number_of_settings_is_applied),
		cmocka_unit_test(paths_resolve_as_realpath_has_them),
		cmocka_unit_test(a_long_name_ends_in_a_digest_of_the_whole),
		cmocka_unit_test(a_name_is_printed_as_vis_has_it),
		cmocka_unit_test(errors_have_libcs_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
