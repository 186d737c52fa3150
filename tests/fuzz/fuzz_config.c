// SPDX-License-Identifier: MIT
// EXCLUSIVELOCK_* of an environment: the input is its entries, with zero bytes between them.
#include "config.h"
#include "fuzz.h"

#include <errno.h>

static const char *const variables[] = { "NAME", "BY", "DIR", "ON_HELD", "TIMEOUT", "REPLACED", "EXIT_CODE", "QUIET", "LOG", "SCOPE",
	"ON_ERROR" };
enum { NAME, BY, DIR, ON_HELD, TIMEOUT, REPLACED, EXIT_CODE, QUIET, LOG, SCOPE, ON_ERROR, COUNT };

// As getenv(3) looks, but empty is unset.
static const char *value_of(char *const *environment, const char *variable)
{
	for (; *environment; environment++) {
		const char *equals = strchr(*environment, '=');
		size_t length = equals ? (size_t)(equals - *environment) : 0;

		if (equals && length == strlen(variable) && memcmp(*environment, variable, length) == 0)
			return equals[1] ? equals + 1 : NULL;
	}
	return NULL;
}

static int one_of(const char *value, const char *first, const char *second, const char *third)
{
	const char *const words[] = { first, second, third };

	for (int i = 0; i < 3; i++)
		if (words[i] && strcmp(value, words[i]) == 0)
			return i;
	return -1;
}

// Digits, perhaps a point, digits: at least one in all; perhaps a letter; not so many seconds that their nanoseconds would pass 64 bits.
static bool seconds(const char *value, uint64_t *nanoseconds)
{
	size_t whole = strspn(value, "0123456789"), fraction = value[whole] == '.' ? strspn(value + whole + 1, "0123456789") : 0;
	bool point = value[whole] == '.';
	char nine[10] = "000000000";
	const char *suffix = value + whole + point + fraction;
	unsigned long long number, unit = *suffix == 'm' ? 60 : *suffix == 'h' ? 3600 : *suffix == 'd' ? 86400 : 1;

	if (whole + fraction == 0 || strlen(suffix) > 1 || (*suffix && !strchr("smhd", *suffix)))
		return false;
	errno = 0;
	number = strtoull(value, NULL, 10);
	if (whole == 0)
		number = 0;
	if (errno == ERANGE || number >= (UINT64_MAX / 1000000000 - 1) / unit)
		return false;
	memcpy(nine, value + whole + point, fraction < 9 ? fraction : 9);
	*nanoseconds = (number * 1000000000 + strtoull(nine, NULL, 10)) * unit;
	return true;
}

static bool exit_code(const char *value, int *code)
{
	errno = 0;
	*code = (int)strtoul(value, NULL, 10);
	return value[strspn(value, "0123456789")] == '\0' && errno != ERANGE && strtoul(value, NULL, 10) <= 255;
}

static bool pid(const char *value, pid_t *number)
{
	errno = 0;
	*number = (pid_t)strtoul(value, NULL, 10);
	return value[0] != '\0' && value[strspn(value, "0123456789")] == '\0' && errno != ERANGE && strtoul(value, NULL, 10) <= INT32_MAX;
}

// Sets what VALUE of variable I says. False: it cannot be understood.
static bool set(struct config *config, int i, const char *value)
{
	int choice = i == ON_HELD ? one_of(value, "abort", "flag", "wait") : i == BY ? one_of(value, "exe", "args", NULL) :
		     i == QUIET ? one_of(value, "0", "1", NULL) : i == SCOPE ? one_of(value, "process", "tree", NULL) :
		     i == ON_ERROR ? one_of(value, "abort", "run", NULL) : i == LOG ? one_of(value, "stderr", NULL, NULL) : -1;

	switch (i) {
	case NAME: config->name = value; return true;
	case BY: config->by_args = choice == 1; return choice >= 0;
	case DIR: config->dir = value; return value[0] == '/' || strcmp(value, "user") == 0;
	case ON_HELD: config->on_held = (enum on_held)choice; return choice >= 0;
	case TIMEOUT: return seconds(value, &config->timeout_ns);
	case REPLACED: return pid(value, &config->replaced);
	case EXIT_CODE: return exit_code(value, &config->exit_code);
	case QUIET: config->quiet = choice == 1; return choice >= 0;
	case LOG:
		config->log_stderr = choice == 0;
		config->log_path = choice == 0 ? NULL : value;
		return choice == 0 || value[0] == '/';
	case SCOPE: config->scope_tree = choice == 1; return choice >= 0;
	default: config->run_on_error = choice == 1; return choice >= 0;
	}
}

static void check_same(const struct config *a, const struct config *b)
{
	CHECK(a->name == b->name && a->dir == b->dir && a->log_path == b->log_path);
	CHECK(a->timeout_ns == b->timeout_ns);
	CHECK(a->replaced == b->replaced && a->on_held == b->on_held && a->exit_code == b->exit_code);
	CHECK(a->by_args == b->by_args && a->quiet == b->quiet && a->log_stderr == b->log_stderr);
	CHECK(a->scope_tree == b->scope_tree && a->run_on_error == b->run_on_error);
}

static void check(char *const *environment)
{
	struct config config, expected = { .timeout_ns = UINT64_MAX, .exit_code = 1 };
	struct config_error error = { NULL, NULL, NULL };
	bool understood = config_parse(environment, &config, &error);

	for (int i = 0; i < COUNT; i++) {
		char variable[64];
		const char *value;

		snprintf(variable, sizeof(variable), CONFIG_PREFIX "%s", variables[i]);
		value = value_of(environment, variable);
		CHECK(config_get(environment, variable) == value);
		if (value && !set(&expected, i, value)) {
			// The first that is wrong is named, with its value.
			CHECK(!understood);
			CHECK(strcmp(error.variable, variable) == 0 && error.value == value && error.why[0] != '\0');
			return;
		}
	}
	CHECK(understood);
	check_same(&config, &expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	char **environment = input_strings(&input);

	check(environment);
	input_free(environment);
	return 0;
}
