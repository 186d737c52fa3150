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
		assert_int_equal(options_parse(arguments, &options), OPTIONS_RUN);
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
	assert_int_equal(options_parse(arguments, &options), OPTIONS_RUN);
	assert_true(options.count <= OPTIONS_SETTINGS);
	assert_string_equal(options.name, "job");
	assert_string_equal(options.replace, "10");
	assert_true(options.close && options.no_preload && options.print && options.cluster);
	assert_string_equal(value_of(&options, CONFIG_PREFIX "DIR"), "user");
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
		{ { "--older-than=1h", "x", NULL }, "--older-than needs --replace (see exlock-launch --help)" },
	};
	struct options options;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *arguments[3];

		memcpy(arguments, cases[i].arguments, sizeof(arguments));
		assert_int_equal(options_parse(arguments, &options), OPTIONS_WRONG);
		assert_string_equal(options.error, cases[i].error);
	}
}

static void help_is_wanted_as_soon_as_it_is_asked_for(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(options_parse((char *[]){ "-qh", "-x", NULL }, &options), OPTIONS_HELP);
	assert_int_equal(options_parse((char *[]){ "--version", "--help", NULL }, &options), OPTIONS_VERSION);
	assert_int_equal(options_parse((char *[]){ "-", "-h", NULL }, &options), OPTIONS_RUN);
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
	return shimfile_check((const char *)image, sizeof(*image), sizeof(*image), machine_ours);
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
	assert_string_equal(shimfile_check("", 0, 0, machine_ours), "is cut off");
	assert_string_equal(shimfile_check("#!/bin/sh", 9, 9, machine_ours), "is not exlock's library");
	assert_string_equal(shimfile_check((char *)&image, 40, 40, machine_ours), "is cut off");
	assert_string_equal(shimfile_check((char *)&image, sizeof(image), sizeof(image) - 1, machine_ours), "is cut off");
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

static struct machine machine_of(unsigned char word, unsigned char order, unsigned char first, unsigned char second)
{
	unsigned char start[20] = { 0x7f, 'E', 'L', 'F', word, order };

	start[18] = first;
	start[19] = second;
	return machine_parse((const char *)start, sizeof(start));
}

static void a_program_tells_its_machine(void **state)
{
	char start[MACHINE_START];
	FILE *file = fopen("/proc/self/exe", "r");

	(void)state;
	assert_int_equal(fread(start, sizeof(start), 1, file), 1);
	fclose(file);
	assert_true(machine_is_same(machine_parse(start, sizeof(start)), machine_ours));
	assert_true(machine_is_same(machine_of(ELFCLASS64, ELFDATA2LSB, machine_ours.number & 255, machine_ours.number >> 8), machine_ours));
	assert_false(machine_is_same(machine_of(ELFCLASS32, ELFDATA2LSB, machine_ours.number & 255, machine_ours.number >> 8), machine_ours));
	assert_int_equal(machine_of(ELFCLASS32, ELFDATA2LSB, EM_386, 0).number, EM_386);
	assert_int_equal(machine_of(ELFCLASS64, ELFDATA2MSB, 0, EM_S390).number, EM_S390);
	assert_int_equal(machine_parse(start, 19).number, 0);
	assert_int_equal(machine_parse("#!/bin/sh\n and more", 20).number, 0);
}

static void a_script_names_its_interpreter(void **state)
{
	static const struct {
		const char *start, *interpreter;
	} cases[] = {
		{ "#!/bin/sh\nexit", "/bin/sh" }, { "#! \t/bin/sh -eu\n", "/bin/sh" }, { "#!/bin/sh", "/bin/sh" }, { "#!sh\n", "sh" },
		{ "#!\n/bin/sh", NULL }, { "#!", NULL }, { "#", NULL }, { "", NULL }, { "# !/bin/sh", NULL },
	};
	char path[MACHINE_START];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(machine_interpreter(cases[i].start, strlen(cases[i].start), path), cases[i].interpreter != NULL);
		if (cases[i].interpreter)
			assert_string_equal(path, cases[i].interpreter);
	}
}

static void another_machines_library_is_beside_ours(void **state)
{
	const struct machine arm = { EM_AARCH64, ELFCLASS64, ELFDATA2LSB }, riscv = { EM_RISCV, ELFCLASS64, ELFDATA2LSB };
	const struct machine other = machine_ours.number == EM_AARCH64 ? riscv : arm, narrow = { EM_386, ELFCLASS32, ELFDATA2LSB };
	const char *own = machine_ours.number == EM_X86_64 ? "x86_64" : machine_ours.number == EM_AARCH64 ? "aarch64" : "riscv64";
	char path[PATH_MAX], expected[PATH_MAX], sibling[PATH_MAX];

	(void)state;
	(void)snprintf(path, sizeof(path), "/usr/lib/%s-linux-gnu/libexlock.so", own);
	(void)snprintf(expected, sizeof(expected), "/usr/lib/%s-linux-gnu/libexlock.so", other.number == EM_AARCH64 ? "aarch64" : "riscv64");
	assert_true(machine_sibling(path, other, sibling));
	assert_string_equal(sibling, expected);
	assert_false(machine_sibling(path, narrow, sibling));
	assert_false(machine_sibling("/usr/lib/libexlock.so", other, sibling));
	(void)snprintf(path, sizeof(path), "/usr/x%s-linux-gnu/%s-linux-gnux/libexlock.so", own, own);
	assert_false(machine_sibling(path, other, sibling));
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
		cmocka_unit_test(a_program_tells_its_machine),
		cmocka_unit_test(a_script_names_its_interpreter),
		cmocka_unit_test(another_machines_library_is_beside_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
