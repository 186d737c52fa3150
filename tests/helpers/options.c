// SPDX-License-Identifier: MIT
// What the launcher makes of its arguments: the flags and the command that it understood, then the variables that it would set, all with
// zero bytes behind them; before that the number of the former. Or ends as the launcher does.
#include "commandfile.h"
#include "complain.h"
#include "options.h"

#include <stdio.h>

static void put(const char *before, const char *text)
{
	printf("%s%s%c", before, text, '\0');
}

static int count_words(const struct options *options)
{
	int count = (options->name != NULL) + options->close + options->no_preload + options->print + 1;

	for (char **word = options->command; *word; word++)
		count++;
	return count + (options->command[0] != NULL);
}

int main(int argc, char **argv)
{
	static struct options options;
	static char candidate[PATH_MAX];
	const char *file = NULL;

	(void)argc;
	if (options_parse(argv + 1, &options) != OPTIONS_RUN)
		FAIL(options.error);
	if (options.command[0])
		file = commandfile_find(options.command[0], getenv("PATH"), candidate);
	else if (!options.print)
		FAIL("no command given");
	printf("%d%c", count_words(&options), '\0');
	if (options.name)
		put("--name=", options.name);
	if (options.close)
		put("--close", "");
	if (options.no_preload)
		put("--no-preload", "");
	if (options.print)
		put("--print", "");
	put("--", "");
	if (file)
		put("", file);
	for (char **word = options.command; *word; word++)
		put("", *word);
	for (int i = 0; i < options.count; i++)
		printf("%s=%s%c", options.settings[i].variable, options.settings[i].value, '\0');
	return 0;
}
