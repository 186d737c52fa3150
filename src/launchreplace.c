// SPDX-License-Identifier: MIT
// exlock-launch --replace: the lock is waited for in its queue while the job ends, so no start that comes later gets in between.
#include "become.h"
#include "complain.h"
#include "exlock.h"
#include "launch.h"
#include "replace.h"
#include "survivors.h"
#include "text.h"

#include <sys/stat.h>
#include <unistd.h>

#define REPLACED CONFIG_PREFIX "REPLACED"
// How long the job may take to go that has been killed, and a little more.
#define EXTRA_SECONDS 12
#define WORDS_MAX 256

static struct replacement replacement;
static bool is_quiet;

static uint64_t time_of(const char *option, const char *given)
{
	uint64_t nanoseconds;

	if (!config_parse_time(given, &nanoseconds))
		FAIL(option, "='", given, "': ", CONFIG_TIME_WORDS);
	return nanoseconds;
}

static void wait_for(struct launch *launch, uint64_t grace)
{
	char seconds[TEXT_NUMBER_MAX], holder[TEXT_NUMBER_MAX];
	struct text text = text_in(seconds, sizeof(seconds)), pid = text_in(holder, sizeof(holder));
	const struct setting settings[] = {
		{ CONFIG_PREFIX "ON_HELD", "wait" },
		{ CONFIG_PREFIX "TIMEOUT", seconds },
		{ REPLACED, holder },
	};

	text_number(&text, grace / 1000000000 + EXTRA_SECONDS);
	text_number(&pid, replacement.recorded || replacement.waits ? (uint64_t)replacement.holder : 0);
	launch_set(launch, settings, sizeof(settings) / sizeof(*settings));
}

static void stop_waiting(void)
{
	environment_remove(environ, CONFIG_PREFIX "ON_HELD");
	environment_remove(environ, CONFIG_PREFIX "TIMEOUT");
	environment_remove(environ, REPLACED);
}

// "pid 12", and where the job has more processes " and 3 other processes of its job".
static void add_job(struct text *text)
{
	size_t others = replacement.job->count - 1;

	text_add(text, "pid ");
	text_number(text, (uint64_t)replacement.holder);
	if (others == 0)
		return;
	text_add(text, " and ");
	text_number(text, others);
	text_add(text, others == 1 ? " other process of its job" : " other processes of its job");
}

// "; left alone: pid 5, pid 6, which have other parents by now"
static void add_survivors(struct text *text, const struct stat *file)
{
	pid_t found[SURVIVORS_MAX];
	size_t count = file->st_ino ? survivors_find(replacement.job, file->st_dev, file->st_ino, found) : 0;

	for (size_t i = 0; i < count && i < SURVIVORS_MAX; i++) {
		text_add(text, i == 0 ? "; left alone: pid " : ", pid ");
		text_number(text, (uint64_t)found[i]);
	}
	if (count > SURVIVORS_MAX)
		text_add(text, " and others");
	if (count > 0)
		text_add(text, count == 1 ? ", which has another parent by now" : ", which have other parents by now");
}

// The start is refused, or has failed, and will end this process.
static void say_in_vain(void)
{
	char words[WORDS_MAX];
	struct text text = text_in(words, sizeof(words));
	pid_t rest;

	if (replacement.killer <= 0)
		return;
	rest = replace_stop(&replacement);
	if (!replacement.job->asked || is_quiet)
		return;
	if (rest == 0) {
		add_job(&text);
		text_add(&text, replacement.job->killed ? " had to be killed" : replacement.job->count == 1 ? " has ended" : " have ended");
	} else {
		text_add(&text, "pid ");
		text_number(&text, (uint64_t)rest);
		text_add(&text, replacement.job->killed ? " was killed, and has not ended yet" : " was asked to end, and has not ended yet");
	}
	COMPLAIN("--replace: ", words, ", but nothing is started");
}

// The lock is taken. Processes of the job that do not keep it may still be ending.
static void finish(const struct stat *file)
{
	char words[WORDS_MAX];
	struct text text = text_in(words, sizeof(words));
	pid_t rest = replace_finish(&replacement);

	if (rest != 0) {
		text_number(&text, (uint64_t)rest);
		FAIL("--replace: pid ", words, " was killed, and has not ended yet: nothing is started");
	}
	become_note = "; the job that it replaces has ended, and nothing is started";
	if (is_quiet)
		return;
	add_job(&text);
	text_add(&text, !replacement.job->killed ? ", which ended when asked" :
			replacement.job->count == 1 ? ", which had to be killed" : ", of which some had to be killed");
	add_survivors(&text, file);
	COMPLAIN("replaced ", words);
}

void launch_replace(struct launch *launch)
{
	const struct replace_request request = {
		.path = launch->lock_path,
		.grace_ns = time_of("--replace", launch->options.replace),
		.min_age_ns = launch->options.older_than ? time_of("--older-than", launch->options.older_than) : 0,
	};
	char pid[TEXT_NUMBER_MAX];
	struct text text = text_in(pid, sizeof(pid));
	struct stat file = { .st_ino = 0 };
	bool waits;
	const char *why;

	is_quiet = launch->config.quiet;
	// The holder may delete the file.
	if (stat(launch->lock_path, &file) == -1)
		file.st_ino = 0;
	if (replace_ask(&request, &replacement, &why) == -1) {
		text_number(&text, (uint64_t)replacement.holder);
		FAIL("--replace: ", launch->lock_path, " is held by ", replacement.holder ? "pid " : "a process that cannot be seen",
		     replacement.holder ? pid : "", ", and ", why, ": not replaced, nothing is started");
	}
	waits = replacement.killer > 0 || replacement.waits;
	if (waits)
		wait_for(launch, request.grace_ns);
	exlock_before_end = say_in_vain;
	launch_take_lock(launch);
	if (replacement.killer > 0)
		finish(&file);
	if (waits)
		stop_waiting();
}
