// SPDX-License-Identifier: MIT
#include "config.h"

#include "lockdir.h"
#include "text.h"

#include <string.h>

#define NANOSECONDS 1000000000u

const char *config_get(char *const *environment, const char *variable)
{
	size_t length = strlen(variable);

	for (; *environment; environment++)
		if (**environment == *variable && strncmp(*environment, variable, length) == 0 && (*environment)[length] == '=')
			return (*environment)[length + 1] ? *environment + length + 1 : NULL;
	return NULL;
}

char *const *config_own(char *const *environment, char *own[CONFIG_OWN + 1])
{
	int count = 0;

	for (char *const *entry = environment; *entry; entry++) {
		// The first letter spares most of them the call.
		if (**entry != CONFIG_PREFIX[0] || !text_begins(*entry, CONFIG_PREFIX))
			continue;
		if (count == CONFIG_OWN)
			return environment;
		own[count++] = *entry;
	}
	own[count] = NULL;
	return own;
}

// What a number behind which SUFFIX stands is multiplied with, as timeout(1) has it; 0: it is no suffix.
static uint64_t seconds_of(const char *suffix)
{
	if (suffix[0] != '\0' && suffix[1] != '\0')
		return 0;
	switch (suffix[0]) {
	case '\0':
	case 's': return 1;
	case 'm': return 60;
	case 'h': return UINT64_C(3600);
	case 'd': return UINT64_C(86400);
	default: return 0;
	}
}

// Decimal seconds, as in "2", "0.25" or ".5", or with a suffix, "1.5h". Digits beyond nanoseconds are read and dropped.
bool config_parse_time(const char *value, uint64_t *nanoseconds)
{
	const char *end = value + strlen(value);
	uint64_t number = 0, fraction = 0, seconds;
	bool has_digits = text_parse_number(&value, end, &number);

	if (*value == '.') {
		uint64_t unit = NANOSECONDS;

		for (value++; *value >= '0' && *value <= '9'; value++, has_digits = true)
			fraction += (uint64_t)(*value - '0') * (unit /= 10);
	}
	seconds = seconds_of(value);
	if (!has_digits || seconds == 0 || number >= (UINT64_MAX / NANOSECONDS - 1) / seconds)
		return false;
	*nanoseconds = (number * NANOSECONDS + fraction) * seconds;
	return true;
}

static bool parse_exit_code(const char *value, struct config *config)
{
	const char *end = value + strlen(value);
	uint64_t number;

	if (!text_parse_number(&value, end, &number) || value != end || number > 255)
		return false;
	config->exit_code = (int)number;
	return true;
}

// Which of the two words VALUE is; *SECOND tells.
static bool parse_choice(const char *value, const char *first, const char *second, bool *is_second)
{
	*is_second = strcmp(value, second) == 0;
	return *is_second || strcmp(value, first) == 0;
}

static bool parse_on_held(const char *value, struct config *config)
{
	static const char *const words[] = { "abort", "flag", "wait" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(value, words[i]) == 0) {
			config->on_held = (enum on_held)i;
			return true;
		}
	return false;
}

static bool parse_log(const char *value, struct config *config)
{
	config->log_stderr = strcmp(value, "stderr") == 0;
	if (!config->log_stderr)
		config->log_path = value;
	return config->log_stderr || value[0] == '/';
}

static bool parse_dir(const char *value, struct config *config)
{
	config->dir = value;
	return value[0] == '/' || strcmp(value, LOCKDIR_WORD) == 0;
}

static bool parse_name(const char *value, struct config *config)
{
	config->name = value;
	return true;
}

static bool parse_timeout(const char *value, struct config *config)
{
	return config_parse_time(value, &config->timeout_ns);
}

static bool parse_replaced(const char *value, struct config *config)
{
	const char *at = value, *end = value + strlen(value);
	uint64_t number;

	if (!text_parse_number(&at, end, &number) || at < end || number > INT32_MAX)
		return false;
	config->replaced = (pid_t)number;
	return true;
}

static bool parse_by(const char *value, struct config *config)
{
	return parse_choice(value, "exe", "args", &config->by_args);
}

static bool parse_quiet(const char *value, struct config *config)
{
	return parse_choice(value, "0", "1", &config->quiet);
}

static bool parse_scope(const char *value, struct config *config)
{
	return parse_choice(value, "process", "tree", &config->scope_tree);
}

static bool parse_on_error(const char *value, struct config *config)
{
	return parse_choice(value, "abort", "run", &config->run_on_error);
}

bool config_parse(char *const *environment, struct config *config, struct config_error *error)
{
	static const struct {
		const char *variable;
		bool (*parse)(const char *value, struct config *config);
		const char *why;
	} variables[] = {
		{ CONFIG_PREFIX "NAME", parse_name, "" },
		{ CONFIG_PREFIX "BY", parse_by, "must be exe or args" },
		{ CONFIG_PREFIX "DIR", parse_dir, "must be an absolute path, or user" },
		{ CONFIG_PREFIX "ON_HELD", parse_on_held, "must be abort, flag or wait" },
		{ CONFIG_PREFIX "TIMEOUT", parse_timeout, CONFIG_TIME_WORDS },
		{ CONFIG_PREFIX "REPLACED", parse_replaced, "must be a PID" },
		{ CONFIG_PREFIX "EXIT_CODE", parse_exit_code, "must be a number from 0 to 255" },
		{ CONFIG_PREFIX "QUIET", parse_quiet, "must be 0 or 1" },
		{ CONFIG_PREFIX "LOG", parse_log, "must be stderr or an absolute path" },
		{ CONFIG_PREFIX "SCOPE", parse_scope, "must be process or tree" },
		{ CONFIG_PREFIX "ON_ERROR", parse_on_error, "must be abort or run" },
	};

	*config = (struct config){ .timeout_ns = UINT64_MAX, .exit_code = 1 };
	for (unsigned i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		const char *value = config_get(environment, variables[i].variable);

		if (value && !variables[i].parse(value, config)) {
			*error = (struct config_error){ variables[i].variable, value, variables[i].why };
			return false;
		}
	}
	return true;
}
