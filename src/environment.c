// SPDX-License-Identifier: MIT
#include "environment.h"

#include "text.h"

#include <limits.h>
#include <string.h>
#include <sys/mman.h>

// Room for the texts that had none where they stand: a path and some numbers.
static char texts[PATH_MAX + 512];
static size_t texts_used;

static char **find(char **environment, const char *variable)
{
	size_t length = strlen(variable);

	for (; *environment; environment++)
		if (strncmp(*environment, variable, length) == 0 && (*environment)[length] == '=')
			return environment;
	return NULL;
}

// "VARIABLE=value" in static memory; NULL if that is full.
static char *new_text(const struct setting *setting)
{
	struct text text;

	if (texts_used == sizeof(texts))
		return NULL;
	text = text_in(texts + texts_used, sizeof(texts) - texts_used);
	text_add(&text, setting->variable);
	text_add(&text, "=");
	text_add(&text, setting->value);
	if (text.cut)
		return NULL;
	texts_used += text.length + 1;
	return text.start;
}

// Fills what remains with zero bytes, so that /proc/PID/environ shows nothing of the old value.
static void rewrite(char *value, size_t room, const char *new_value)
{
	size_t length = strlen(new_value);

	memcpy(value, new_value, length);	// NOLINT(bugprone-not-null-terminated-result): the old end stays
	memset(value + length, 0, room - length);
}

// Returns whether the variable is there and has the value now.
static bool apply_in_place(char **environment, const struct setting *setting)
{
	char **entry = find(environment, setting->variable);
	char *value, *text;

	if (!entry)
		return false;
	value = *entry + strlen(setting->variable) + 1;
	if (strlen(value) >= strlen(setting->value)) {
		rewrite(value, strlen(value), setting->value);
		return true;
	}
	text = new_text(setting);
	if (text)
		*entry = text;
	return text != NULL;
}

char **environment_apply(char **environment, const struct setting *settings, int count)
{
	const struct setting *missing[ENVIRONMENT_SETTINGS];
	int missing_count = 0;
	size_t length = 0;
	char **larger;

	for (int i = 0; i < count; i++)
		if (!apply_in_place(environment, &settings[i]) && settings[i].value[0] != '\0')
			missing[missing_count++] = &settings[i];
	if (missing_count == 0)
		return environment;
	while (environment[length])
		length++;
	// Libc may still reallocate a copy of this array, never the array itself: it did not allocate it.
	larger = mmap(NULL, (length + (size_t)missing_count + 1) * sizeof(*larger), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (larger == MAP_FAILED)
		return NULL;
	memcpy(larger, environment, length * sizeof(*larger));
	for (int i = 0; i < missing_count; i++) {
		char *text = new_text(missing[i]);

		if (text)
			larger[length++] = text;
	}
	return larger;
}

void environment_strip_entries(char *value, const char *library)
{
	char *to = value;

	for (const char *at = value; *at;) {
		size_t separators = strspn(at, " :");
		size_t length = strcspn(at + separators, " :");
		const char *entry = at + separators, *base = entry + length;

		while (base > entry && base[-1] != '/')
			base--;
		at = entry + length;
		if ((size_t)(at - base) == strlen(library) && memcmp(base, library, strlen(library)) == 0)
			continue;
		if (to == value) {	// what was first is gone, its separator, too
			memmove(to, entry, length);
			to += length;
		} else {
			memmove(to, entry - separators, separators + length);
			to += separators + length;
		}
	}
	while (*to)
		*to++ = '\0';
}

void environment_strip_preload(char *const *environment, const char *library)
{
	for (; *environment; environment++)
		if (text_begins(*environment, "LD_PRELOAD="))
			environment_strip_entries(*environment + sizeof("LD_PRELOAD=") - 1, library);
}
