// SPDX-License-Identifier: MIT
#include "options.h"

#include "config.h"
#include "lockdir.h"
#include "text.h"

#include <string.h>

#define SEE " (see exlock-launch --help)"
#define REPLACE_SECONDS "10"
// As much of a word as a message shows.
#define WORD_MAX 256

enum value { NONE, NEEDED, POSSIBLE };
enum special { VARIABLE, NAME, REPLACE, OLDER_THAN, CLOSE, NO_PRELOAD, PRINT, CLUSTER, ABOUT_CLUSTER, HELP, VERSION };

static const struct option {	// NOLINT(clang-analyzer-optin.performance.Padding): in the order in which the table reads
	char letter;		// 0: none
	const char *word;
	enum value value;
	const char *variable;	// gets the option's value
	struct setting fixed;	// is set, too
	enum special special;
} known[] = {
	{ 'n', "name", NEEDED, NULL, { NULL, NULL }, NAME },
	{ 'a', "by-args", NONE, NULL, { CONFIG_PREFIX "BY", "args" }, VARIABLE },
	{ 'd', "dir", NEEDED, CONFIG_PREFIX "DIR", { NULL, NULL }, VARIABLE },
	{ 'u', "user", NONE, NULL, { CONFIG_PREFIX "DIR", LOCKDIR_WORD }, VARIABLE },
	{ 'w', "wait", NONE, NULL, { CONFIG_PREFIX "ON_HELD", "wait" }, VARIABLE },
	{ 't', "timeout", NEEDED, CONFIG_PREFIX "TIMEOUT", { CONFIG_PREFIX "ON_HELD", "wait" }, VARIABLE },
	{ 'r', "replace", POSSIBLE, NULL, { NULL, NULL }, REPLACE },
	{ 0, "older-than", NEEDED, NULL, { NULL, NULL }, OLDER_THAN },
	{ 'f', "flag", NONE, NULL, { CONFIG_PREFIX "ON_HELD", "flag" }, VARIABLE },
	{ 'E', "exit-code", NEEDED, CONFIG_PREFIX "EXIT_CODE", { NULL, NULL }, VARIABLE },
	{ 'q', "quiet", NONE, NULL, { CONFIG_PREFIX "QUIET", "1" }, VARIABLE },
	{ 'v', "verbose", NONE, NULL, { CONFIG_PREFIX "LOG", "stderr" }, VARIABLE },
	{ 's', "scope", NEEDED, CONFIG_PREFIX "SCOPE", { NULL, NULL }, VARIABLE },
	{ 0, "close", NONE, NULL, { NULL, NULL }, CLOSE },
	{ 'P', "no-preload", NONE, NULL, { NULL, NULL }, NO_PRELOAD },
	{ 'p', "print-lockfile", NONE, NULL, { NULL, NULL }, PRINT },
	{ 0, "cluster", POSSIBLE, NULL, { NULL, NULL }, CLUSTER },
	{ 0, "cluster-prefix", NEEDED, CONFIG_PREFIX "CLUSTER_PREFIX", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "ttl", NEEDED, CONFIG_PREFIX "CLUSTER_TTL", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "cacert", NEEDED, CONFIG_PREFIX "CLUSTER_CACERT", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "cert", NEEDED, CONFIG_PREFIX "CLUSTER_CERT", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "key", NEEDED, CONFIG_PREFIX "CLUSTER_KEY", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "cluster-user", NEEDED, CONFIG_PREFIX "CLUSTER_USER", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "password-file", NEEDED, CONFIG_PREFIX "CLUSTER_PASSWORD_FILE", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "at-least", NEEDED, CONFIG_PREFIX "CLUSTER_AT_LEAST", { NULL, NULL }, ABOUT_CLUSTER },
	{ 0, "even-on-failure", NONE, NULL, { CONFIG_PREFIX "CLUSTER_EVEN_ON_FAILURE", "1" }, ABOUT_CLUSTER },
	{ 'h', "help", NONE, NULL, { NULL, NULL }, HELP },
	{ 'V', "version", NONE, NULL, { NULL, NULL }, VERSION },
};

// An option sets what `variable` and `fixed` name, or one variable that apply() names.
_Static_assert(2 * sizeof(known) / sizeof(*known) <= OPTIONS_SETTINGS, "OPTIONS_SETTINGS has no room for all options");

// "BEFORE WORD AFTER", without the blanks; of WORD the first LENGTH bytes.
static enum options_request wrong(struct options *options, const char *before, const char *word, size_t length, const char *after)
{
	struct text text = text_in(options->error, sizeof(options->error));

	text_add(&text, before);
	text_bytes(&text, word, length < WORD_MAX ? length : WORD_MAX);
	text_add(&text, after);
	return OPTIONS_WRONG;
}

static void set(struct options *options, const char *variable, const char *value)
{
	int i = 0;

	while (i < options->count && strcmp(options->settings[i].variable, variable) != 0)
		i++;
	options->settings[i] = (struct setting){ variable, value };
	if (i == options->count)
		options->count++;
}

// VALUE is NULL where none was given.
static enum options_request apply(struct options *options, const struct option *option, const char *value)
{
	if (option->variable)
		set(options, option->variable, value);
	if (option->fixed.variable)
		set(options, option->fixed.variable, option->fixed.value);
	switch (option->special) {
	case NAME: options->name = value && value[0] ? value : NULL; break;
	case REPLACE: options->replace = value && value[0] ? value : REPLACE_SECONDS; break;
	case OLDER_THAN: options->older_than = value; break;
	case CLOSE: options->close = true; break;
	case NO_PRELOAD: options->no_preload = true; break;
	case PRINT: options->print = true; break;
	case CLUSTER:
		options->cluster = true;
		if (value && value[0])
			set(options, CONFIG_PREFIX "CLUSTER", value);
		break;
	case ABOUT_CLUSTER: options->about_cluster = option->word; break;
	case HELP: return OPTIONS_HELP;
	case VERSION: return OPTIONS_VERSION;
	case VARIABLE: break;
	}
	return OPTIONS_RUN;
}

static const struct option *find_letter(char letter)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].letter == letter)
			return &known[i];
	return NULL;
}

static const struct option *find_word(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strlen(known[i].word) == length && memcmp(known[i].word, word, length) == 0)
			return &known[i];
	return NULL;
}

// The option "--WORD" or "--WORD=VALUE" at *AT, which moves on to its value where that is apart.
static enum options_request parse_word(struct options *options, char ***at)
{
	const char *argument = **at, *value = NULL;
	size_t length = strcspn(argument, "=");
	const struct option *option = find_word(argument + 2, length - 2);

	if (!option)
		return wrong(options, "unknown option '", argument, length, "'" SEE);
	if (argument[length] == '=')
		value = argument + length + 1;
	if (value && option->value == NONE)
		return wrong(options, "", argument, length, " takes no value" SEE);
	if (!value && option->value == NEEDED && !(value = *++*at))
		return wrong(options, "", argument, length, " needs a value" SEE);
	return apply(options, option, value);
}

// The letters of "-LETTERS" at *AT; the value of the last one may be attached or apart.
static enum options_request parse_letters(struct options *options, char ***at)
{
	for (const char *letter = **at + 1; *letter; letter++) {
		const struct option *option = find_letter(*letter);
		bool valued = option && option->value == NEEDED;
		const char *value = valued && letter[1] ? letter + 1 : NULL;
		enum options_request request;

		if (!option)
			return wrong(options, "unknown option '-", letter, 1, "'" SEE);
		if (valued && !value && !(value = *++*at))
			return wrong(options, "-", letter, 1, " needs a value" SEE);
		request = apply(options, option, value);
		if (request != OPTIONS_RUN || valued)
			return request;
	}
	return OPTIONS_RUN;
}

enum options_request options_parse(char **arguments, struct options *options)
{
	*options = (struct options){ .count = 0 };
	for (; *arguments && (*arguments)[0] == '-' && (*arguments)[1]; arguments++) {
		bool word = (*arguments)[1] == '-';
		enum options_request request;

		if (word && !(*arguments)[2]) {
			arguments++;
			break;
		}
		request = word ? parse_word(options, &arguments) : parse_letters(options, &arguments);
		if (request != OPTIONS_RUN)
			return request;
	}
	options->command = arguments;
	if (options->older_than && !options->replace)
		return wrong(options, "--older-than needs --replace" SEE, "", 0, "");
	// It would do nothing, and there would be no lock in the cluster.
	if (options->about_cluster && !options->cluster)
		return wrong(options, "--", options->about_cluster, strlen(options->about_cluster), " needs --cluster" SEE);
	return OPTIONS_RUN;
}
