// SPDX-License-Identifier: MIT
// exlock-launch --replace: the lock is waited for in its queue while the holder ends, so nobody who comes later gets in between.
#include "complain.h"
#include "launch.h"
#include "replace.h"
#include "text.h"

#include <unistd.h>

#define REPLACED CONFIG_PREFIX "REPLACED"
// How long a process may take to go that has been killed: it may have much memory.
#define EXTRA_SECONDS 10

static uint64_t grace_of(struct launch *launch)
{
	const char *given = launch->options.replace;
	struct config config;
	struct config_error error;

	if (!config_parse((char *[]){ LAUNCH_JOIN(launch, CONFIG_PREFIX "TIMEOUT=", given), NULL }, &config, &error) ||
	    config.timeout_ns == UINT64_MAX)
		FAIL("--replace='", given, "': must be a number of seconds, as in 2 or 0.5");
	return config.timeout_ns;
}

static void wait_for(struct launch *launch, const char *holder, uint64_t grace)
{
	char seconds[TEXT_NUMBER_MAX];
	struct text text = text_in(seconds, sizeof(seconds));
	const struct setting settings[] = {
		{ CONFIG_PREFIX "ON_HELD", "wait" },
		{ CONFIG_PREFIX "TIMEOUT", seconds },
		{ REPLACED, holder },
	};

	text_number(&text, grace / 1000000000 + EXTRA_SECONDS);
	launch_set(launch, settings, sizeof(settings) / sizeof(*settings));
}

void launch_replace(struct launch *launch)
{
	uint64_t grace = grace_of(launch);
	struct replacement replacement;
	char holder[TEXT_NUMBER_MAX];
	struct text text = text_in(holder, sizeof(holder));
	const char *why;
	bool killed, asked;
	int result = replace_ask(launch->lock_path, grace, &replacement, &why);

	text_number(&text, (uint64_t)replacement.holder);
	if (result == -1)
		FAIL("--replace: ", launch->lock_path, " is held by ", replacement.holder ? "pid " : "a process that cannot be seen",
		     replacement.holder ? holder : "", ", and ", why, ": not replaced, nothing is started");
	if (replacement.killer || replacement.waits)
		wait_for(launch, holder, grace);
	asked = replacement.killer > 0;
	launch_take_lock(launch);
	killed = replace_finish(&replacement);
	environment_remove(environ, CONFIG_PREFIX "ON_HELD");
	environment_remove(environ, CONFIG_PREFIX "TIMEOUT");
	environment_remove(environ, REPLACED);
	if (asked && !launch->config.quiet)
		COMPLAIN("replaced pid ", holder, ", which ", killed ? "had to be killed" : "ended when asked");
}
