// SPDX-License-Identifier: MIT
// The launcher's arguments, with zero bytes between them.
#include "config.h"
#include "fuzz.h"
#include "options.h"

static bool is_within(char *const *arguments, const char *text)
{
	for (; *arguments; arguments++)
		if (text >= *arguments && text <= *arguments + strlen(*arguments))
			return true;
	return false;
}

static void check_settings(char *const *arguments, const struct options *options)
{
	static const char *const fixed[] = { "args", "user", "wait", "flag", "1", "stderr" };

	CHECK(options->count <= OPTIONS_SETTINGS);
	for (int i = 0; i < options->count; i++) {
		const struct setting *setting = &options->settings[i];
		bool known = setting->value && is_within(arguments, setting->value);

		CHECK(setting->value);
		for (size_t word = 0; word < sizeof(fixed) / sizeof(*fixed); word++)
			known |= strcmp(setting->value, fixed[word]) == 0;
		CHECK(known && strncmp(setting->variable, CONFIG_PREFIX, sizeof(CONFIG_PREFIX) - 1) == 0);
		for (int other = 0; other < i; other++)
			CHECK(strcmp(setting->variable, options->settings[other].variable) != 0);
	}
	CHECK(!options->name || (options->name[0] && is_within(arguments, options->name)));
	CHECK(!options->replace || options->replace[0]);
	CHECK(!options->older_than || (options->replace && is_within(arguments, options->older_than)));
}

// What follows the options begins with no option, or comes after "--", or there is none.
static void check_command(char **arguments, const struct options *options)
{
	char **command = options->command;

	CHECK(command >= arguments);
	for (char **at = arguments; at < command; at++)
		CHECK(*at);
	CHECK(!*command || (*command)[0] != '-' || !(*command)[1] || (command > arguments && strcmp(command[-1], "--") == 0));
}

static void check(char **arguments)
{
	struct options options;

	switch (options_parse(arguments, &options)) {
	case OPTIONS_RUN:
		check_command(arguments, &options);
		break;
	case OPTIONS_WRONG:
		CHECK(options.error[0] && strlen(options.error) < sizeof(options.error) - 1);
		break;
	default:
		CHECK(arguments[0] && arguments[0][0] == '-');
	}
	check_settings(arguments, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	char **arguments = input_strings(&input);

	check(arguments);
	input_free(arguments);
	return 0;
}
