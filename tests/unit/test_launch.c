// SPDX-License-Identifier: MIT
// What the launcher understands: its options, the environment that it changes, the file of the shim.
#include "config.h"
#include "options.h"
#include "shimfile.h"
#include "unit.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

static const char *value_of(const struct options *options, const char *variable)
{
	for (int i = 0; i < options->count; i++)
		if (strcmp(options->settings[i].variable, variable) == 0)
			return options->settings[i].value;
	return NULL;
}

static void options_come_in_every_form(void **state)
{
	char *const forms[][4] = { { "-t2", "x" }, { "-t", "2", "x" }, { "--timeout=2", "x" }, { "--timeout", "2", "x" }, { "-qt2", "x" },
				   { "-qt", "2", "x" }, { "-t1", "-t2", "x" }, { "-t2", "--", "x" } };
	struct options options;

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		char *arguments[5];

		memcpy(arguments, forms[i], sizeof(forms[i]));
		arguments[4] = NULL;
		assert_int_equal(options_parse(arguments, NULL, &options), OPTIONS_RUN);
		assert_string_equal(value_of(&options, CONFIG_PREFIX "TIMEOUT"), "2");
		assert_string_equal(value_of(&options, CONFIG_PREFIX "ON_HELD"), "wait");
		assert_string_equal(options.command[0], "x");
	}
}

static void all_options_together_fit(void **state)
{
	char *arguments[] = { "-an", "job", "-d", "/d", "-u", "-w", "-t1", "-r", "-f", "-E2", "-qv", "-s", "tree", "--close", "-Pp", "--cluster=e", "--cluster-prefix=p/",
			      "--ttl=3",
			      "--cacert=a", "--cert=c", "--key=k", "--cluster-user=u", "--password-file=f", "--at-least=5", "--even-on-failure", "x", "-q", NULL };
	struct options options;

	(void)state;
	assert_int_equal(options_parse(arguments, "/run", &options), OPTIONS_RUN);
	assert_true(options.count <= OPTIONS_SETTINGS);
	assert_string_equal(options.name, "job");
	assert_string_equal(options.replace, "10");
	assert_true(options.close && options.no_preload && options.print && options.cluster);
	assert_string_equal(value_of(&options, CONFIG_PREFIX "DIR"), "/run");
	assert_string_equal(value_of(&options, CONFIG_PREFIX "ON_HELD"), "flag");
	assert_string_equal(value_of(&options, CONFIG_PREFIX "CLUSTER_PASSWORD_FILE"), "f");
	assert_ptr_equal(options.command, &arguments[25]);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		char *arguments[3];
		const char *error;
	} cases[] = {
		{ { "-x", NULL }, "unknown option '-x' (see exlock-launch --help)" },
		{ { "-q-", NULL }, "unknown option '--' (see exlock-launch --help)" },
		{ { "--nam", "x", NULL }, "unknown option '--nam' (see exlock-launch --help)" },
		{ { "--=x", NULL }, "unknown option '--' (see exlock-launch --help)" },
		{ { "--wait=", NULL }, "--wait takes no value (see exlock-launch --help)" },
		{ { "--name", NULL }, "--name needs a value (see exlock-launch --help)" },
		{ { "-qn", NULL }, "-n needs a value (see exlock-launch --help)" },
		{ { "--ttl=3", "x", NULL }, "--ttl needs --cluster (see exlock-launch --help)" },
		{ { "-q", "--password-file=f", NULL }, "--password-file needs --cluster (see exlock-launch --help)" },
		{ { "-u", NULL }, "XDG_RUNTIME_DIR is not set, as --user needs it (use --dir)" },
	};
	struct options options;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *arguments[3];

		memcpy(arguments, cases[i].arguments, sizeof(arguments));
		assert_int_equal(options_parse(arguments, "", &options), OPTIONS_WRONG);
		assert_string_equal(options.error, cases[i].error);
	}
}

static void help_is_wanted_as_soon_as_it_is_asked_for(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(options_parse((char *[]){ "-qh", "-x", NULL }, NULL, &options), OPTIONS_HELP);
	assert_int_equal(options_parse((char *[]){ "--version", "--help", NULL }, NULL, &options), OPTIONS_VERSION);
	assert_int_equal(options_parse((char *[]){ "-", "-h", NULL }, NULL, &options), OPTIONS_RUN);
	assert_string_equal(options.command[0], "-");
}

static void a_variable_is_taken_out_wherever_it_is(void **state)
{
	char *environment[] = { "A=1", "AB=2", "A=3", "B=4", "A=", NULL };

	(void)state;
	environment_remove(environment, "C");
	assert_string_equal(environment[4], "A=");
	environment_remove(environment, "A");
	assert_string_equal(environment[0], "AB=2");
	assert_string_equal(environment[1], "B=4");
	assert_null(environment[2]);
}

// A file as small as one can be.
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	struct shimfile_note other, note;
};

static struct image image_of_shim(void)
{
	Elf64_Ehdr own;
	FILE *file = fopen("/proc/self/exe", "r");
	struct image image = {
		.segments = { { .p_type = PT_LOAD, .p_filesz = sizeof(image) },
			      { .p_type = PT_NOTE, .p_offset = offsetof(struct image, other), .p_filesz = 2 * sizeof(image.note) } },
		.other = { .name_size = 4, .content_size = 4, .type = 3, .name = "GNU" },
		.note = { .name_size = sizeof(SHIMFILE_OWNER), .type = SHIMFILE_TYPE, .name = SHIMFILE_OWNER },
	};

	assert_non_null(file);
	assert_int_equal(fread(&own, sizeof(own), 1, file), 1);
	fclose(file);
	image.header = own;
	image.header.e_type = ET_DYN;
	image.header.e_phoff = offsetof(struct image, segments);
	image.header.e_phnum = 2;
	image.header.e_shoff = image.header.e_shnum = 0;
	return image;
}

static const char *check(const struct image *image)
{
	return shimfile_check((const char *)image, sizeof(*image), sizeof(*image));
}

static void the_shim_is_known_by_its_note(void **state)
{
	struct image image = image_of_shim();

	(void)state;
	assert_null(check(&image));
	image.note.type++;
	assert_string_equal(check(&image), "is not exlock's library");
	image = image_of_shim();
	image.note.name[0] = 'x';
	assert_string_equal(check(&image), "is not exlock's library");
	image = image_of_shim();
	image.segments[1].p_offset = UINT64_MAX;
	assert_string_equal(check(&image), "is not exlock's library");
	image = image_of_shim();
	image.other.content_size = UINT32_MAX;
	assert_string_equal(check(&image), "is not exlock's library");
}

static void a_shim_that_cannot_be_loaded_is_told(void **state)
{
	struct image image = image_of_shim();

	(void)state;
	assert_string_equal(shimfile_check("", 0, 0), "is cut off");
	assert_string_equal(shimfile_check("#!/bin/sh", 9, 9), "is not exlock's library");
	assert_string_equal(shimfile_check((char *)&image, 40, 40), "is cut off");
	assert_string_equal(shimfile_check((char *)&image, sizeof(image), sizeof(image) - 1), "is cut off");
	image.header.e_shoff = sizeof(image) + 1;
	assert_string_equal(check(&image), "is cut off");
	image = image_of_shim();
	image.header.e_machine++;
	assert_string_equal(check(&image), "is for another machine");
	image = image_of_shim();
	image.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_string_equal(check(&image), "is for another machine");
	image = image_of_shim();
	image.header.e_type = ET_EXEC;
	assert_string_equal(check(&image), "is not exlock's library");
	image = image_of_shim();
	image.header.e_phnum = UINT16_MAX;
	assert_string_equal(check(&image), "is cut off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_come_in_every_form),
		cmocka_unit_test(all_options_together_fit),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(help_is_wanted_as_soon_as_it_is_asked_for),
		cmocka_unit_test(a_variable_is_taken_out_wherever_it_is),
		cmocka_unit_test(the_shim_is_known_by_its_note),
		cmocka_unit_test(a_shim_that_cannot_be_loaded_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
