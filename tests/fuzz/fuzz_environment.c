// SPDX-License-Identifier: MIT
// What is changed in the program's environment, whatever is in it: settings, and our entries of LD_PRELOAD.
#include "environment.h"

#include "fuzz.h"

#include <sys/mman.h>

#define LIBRARY "libexlock.so"
#define SEPARATORS " :"
#define ROOM 256
// Fewer than there may be.
#define SETTINGS 6

// Where there is no room there is other memory, exactly as much as is asked for; or none.
static bool memory;
static void *taken[SETTINGS + 1];
static int taken_count;

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	CHECK(!address && protection == (PROT_READ | PROT_WRITE) && flags == (MAP_PRIVATE | MAP_ANONYMOUS) && fd == -1 && offset == 0);
	if (!memory)
		return MAP_FAILED;
	CHECK(taken_count <= SETTINGS);
	return taken[taken_count++] = calloc(1, size);
}

static bool is_ours(const char *entry)
{
	const char *slash = strrchr(entry, '/');

	return strcmp(slash ? slash + 1 : entry, LIBRARY) == 0;
}

// The entries of VALUE that are not ours, one a line. To be freed.
static char *others(const char *value)
{
	char *copy = input_copy((const uint8_t *)value, strlen(value)), *rest = copy;
	char *list = malloc(strlen(value) + 2), *end = list;

	CHECK(list);
	*end = '\0';
	for (char *entry; (entry = strsep(&rest, SEPARATORS)) != NULL;)
		if (*entry && !is_ours(entry))
			end = stpcpy(stpcpy(end, entry), "\n");
	free(copy);
	return list;
}

static void strip(const char *value)
{
	size_t length = strlen(value);
	char *stripped = input_copy((const uint8_t *)value, length), *again;
	char *before = others(value), *after;

	environment_strip_entries(stripped, LIBRARY);
	after = others(stripped);
	CHECK(strcmp(before, after) == 0);
	again = input_copy((const uint8_t *)stripped, strlen(stripped));
	for (char *entry = strtok(again, SEPARATORS); entry; entry = strtok(NULL, SEPARATORS))
		CHECK(!is_ours(entry));
	// Nothing of the old value is left behind the new one, for whoever reads /proc/PID/environ.
	for (size_t i = strlen(stripped); i <= length; i++)
		CHECK(stripped[i] == '\0');
	free(again);
	free(after);
	free(before);
	free(stripped);
}

// The first entry of VARIABLE.
static const char *value_of(char *const *environment, const char *variable)
{
	for (; *environment; environment++) {
		const char *equals = strchr(*environment, '=');

		if (equals && (size_t)(equals - *environment) == strlen(variable) &&
		    strncmp(*environment, variable, strlen(variable)) == 0)
			return equals + 1;
	}
	return NULL;
}

static bool is_set(const struct setting *settings, int count, const char *entry)
{
	for (int i = 0; i < count; i++) {
		size_t length = strlen(settings[i].variable);

		if (strncmp(entry, settings[i].variable, length) == 0 && entry[length] == '=')
			return true;
	}
	return false;
}

// ROOM: for all the texts. Without, a variable may be as it was before, but has no other value.
static void check_applied(char *const *result, const struct setting *settings, int count, const char *const old[], bool room)
{
	for (int i = 0; i < count; i++) {
		const char *value = value_of(result, settings[i].variable);

		if (value ? strcmp(value, settings[i].value) == 0 : !old[i] && settings[i].value[0] == '\0')
			continue;
		CHECK(!room && value == old[i]);
	}
}

static void apply(char **environment, const struct setting *settings, int count)
{
	const char *old[SETTINGS];
	size_t length = 0;
	char **before, **result, *space = malloc(ROOM);
	struct environment_room room = { space, ROOM };

	while (environment[length])
		length++;
	before = calloc(length + 1, sizeof(*before));
	CHECK(before && space);
	memcpy(before, environment, length * sizeof(*before));
	for (int i = 0; i < count; i++)
		old[i] = value_of(environment, settings[i].variable);
	result = environment_apply(environment, settings, count, &room);
	CHECK(result || !memory);
	if (result)
		check_applied(result, settings, count, old, memory);
	// What is not among the settings is where it was and as it was.
	for (size_t i = 0; i < length; i++)
		CHECK(is_set(settings, count, before[i]) || (result ? result : environment)[i] == before[i]);
	memcpy(environment, before, length * sizeof(*before));
	while (taken_count > 0)
		free(taken[--taken_count]);
	free(space);
	free(before);
}

// Takes VARIABLE out of a copy: the others are what is left, in their order.
static void take_out(char *const *environment, const char *variable)
{
	const struct setting setting = { variable, "" };
	size_t length = 0, at = 0;
	char **rest;

	while (environment[length])
		length++;
	rest = calloc(length + 1, sizeof(*rest));
	CHECK(rest);
	memcpy(rest, environment, length * sizeof(*rest));
	environment_remove(rest, variable);
	for (size_t i = 0; i < length; i++)
		if (!is_set(&setting, 1, environment[i]))
			CHECK(rest[at++] == environment[i]);
	CHECK(!rest[at]);
	free(rest);
}

// A string, so many times.
static char *repeat(char *string, int times)
{
	size_t length = strlen(string);
	char *result = malloc(length * (size_t)times + 1);

	CHECK(result);
	for (int i = 0; i < times; i++)
		memcpy(result + length * (size_t)i, string, length);
	result[length * (size_t)times] = '\0';
	free(string);
	return result;
}

// A byte and a string each make a setting: how often the string makes the value.
static int take_settings(struct input *input, struct setting settings[SETTINGS], char *strings[])
{
	static const char *const variables[SETTINGS] = { "A", "AB", "PID", "LOCKFILE", "INSTANCE", "HELD" };
	int count = input_byte(input) % (SETTINGS + 1);

	for (int i = 0; i < count; i++) {
		int times = input_byte(input);

		strings[i] = repeat(input_string(input), times);
		settings[i] = (struct setting){ variables[i], strings[i] };
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	struct setting settings[SETTINGS];
	char *strings[SETTINGS];
	char **environment;
	int count;

	memory = !(input_byte(&input) & 1);
	count = take_settings(&input, settings, strings);
	environment = input_strings(&input);
	apply(environment, settings, count);
	take_out(environment, "A");
	take_out(environment, "LD_PRELOAD");
	for (char **entry = environment; *entry; entry++)
		strip(*entry);
	environment_strip_preload(environment, LIBRARY);
	for (char **entry = environment; *entry; entry++)
		if (strncmp(*entry, "LD_PRELOAD=", 11) == 0)
			CHECK(!strstr(*entry, "/" LIBRARY ":"));
	input_free(environment);
	while (count > 0)
		free(strings[--count]);
	return 0;
}
