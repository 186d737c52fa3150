// SPDX-License-Identifier: MIT
#include "environment.h"

#include "text.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static char **find(char **environment, const char *variable)
{
	size_t length = strlen(variable);

	for (; *environment; environment++)
		if (**environment == *variable && strncmp(*environment, variable, length) == 0 && (*environment)[length] == '=')
			return environment;
	return NULL;
}

// Libc may still reallocate a copy of what is in it, never that itself, since it did not allocate it.
void *environment_take(struct environment_room *room, size_t size)
{
	size_t padding = -(uintptr_t)room->start % sizeof(char *);
	void *memory = room->start + padding;

	if (padding + size <= room->size) {
		room->start += padding + size;
		room->size -= padding + size;
		return memory;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

// "VARIABLE=value"; NULL: there is no memory.
static char *new_text(const struct setting *setting, struct environment_room *room)
{
	size_t size = strlen(setting->variable) + 1 + strlen(setting->value) + 1;
	char *memory = environment_take(room, size);
	struct text text;

	if (!memory)
		return NULL;
	text = text_in(memory, size);
	text_add(&text, setting->variable);
	text_add(&text, "=");
	text_add(&text, setting->value);
	return memory;
}

// Fills what remains with zero bytes, so that /proc/PID/environ shows nothing of the old value.
static void rewrite(char *value, size_t room, const char *new_value)
{
	size_t length = strlen(new_value);

	memcpy(value, new_value, length);	// NOLINT(bugprone-not-null-terminated-result): the old end stays
	memset(value + length, 0, room - length);
}

// Returns whether the variable is there and has the value now.
static bool apply_in_place(char **environment, const struct setting *setting, struct environment_room *room)
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
	text = new_text(setting, room);
	if (text)
		*entry = text;
	return text != NULL;
}

char **environment_apply(char **environment, const struct setting *settings, int count, struct environment_room *room)
{
	char **larger = NULL;
	size_t length = 0, total;
	bool complete = true;

	while (environment[length])
		length++;
	total = length;
	for (int i = 0; i < count; i++) {
		char *text;

		if (apply_in_place(environment, &settings[i], room) || settings[i].value[0] == '\0')
			continue;
		if (!larger && !(larger = environment_take(room, (length + (size_t)count + 1) * sizeof(*larger)))) {
			complete = false;
			continue;
		}
		text = new_text(&settings[i], room);
		if (text)
			larger[total++] = text;
	}
	if (!larger || !complete)
		return complete ? environment : NULL;
	memcpy(larger, environment, length * sizeof(*larger));
	larger[total] = NULL;
	return larger;
}

bool environment_has(char **environment, const char *variable)
{
	return find(environment, variable) != NULL;
}

void environment_remove(char **environment, const char *variable)
{
	char **to = find(environment, variable), **from = to;
	size_t length = strlen(variable);

	if (!to)
		return;
	do
		if (*from && strncmp(*from, variable, length) == 0 && (*from)[length] == '=')
			continue;
		else
			*to++ = *from;
	while (*from++);
	// On the initial stack the auxiliary vector is behind it, and whoever looks for that begins here.
	while (to < from)
		*to++ = NULL;
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
