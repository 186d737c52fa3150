// SPDX-License-Identifier: MIT
#include "listing.h"

#include "procfile.h"
#include "report.h"
#include "shown.h"
#include "table.h"

#include <err.h>
#include <jansson.h>
#include <locale.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vis.h>
#include <wchar.h>
#include <wctype.h>

// More of a command line than anybody reads.
#define COMMAND_MAX 4096
#define TIME_MAX 32

enum { PID_COLUMN = 2, COLUMNS = 6 };

static char *visible(const char *bytes, size_t length, const char *ending)
{
	size_t size = length * 4 + strlen(ending) + 1;
	char *text = malloc(size);

	if (!text)
		err(125, "memory");
	strvisx(text, bytes, length, VIS_OCTAL | VIS_NL | VIS_TAB);
	(void)strlcat(text, ending, size);
	return text;
}

// The arguments of PID with blanks between them; NULL if they cannot be read, or there are none (a zombie).
static char *command_of(pid_t pid)
{
	char path[PROCFILE_PATH], line[COMMAND_MAX];
	ssize_t length = procfile_read(procfile_path(path, pid, "/cmdline"), line, sizeof(line));

	while (length > 0 && line[length - 1] == '\0')
		length--;
	for (ssize_t i = 0; i < length; i++)
		if (line[i] == '\0')
			line[i] = ' ';
	return length > 0 ? visible(line, (size_t)length, length == COMMAND_MAX ? "..." : "") : NULL;
}

void entry_look(struct entry *entry, const char *path, const char *name, size_t length, bool cut)
{
	*entry = (struct entry){ .path = strdup(path), .name = visible(name, length, cut ? "..." : ""),
				 .survey = survey_look(path) };
	if (!cut && strlen(name) == length)
		entry->exact_name = strdup(name);
	if (!entry->path)
		err(125, "memory");
	if (survey_is_held(entry->survey.state) && entry->survey.pid > 0)
		entry->command = command_of(entry->survey.pid);
}

void entry_free(struct entry *entry)
{
	free(entry->path);
	free(entry->exact_name);
	free(entry->name);
	free(entry->command);
}

static const char *user_of(const struct survey *survey, char number[TIME_MAX])
{
	const struct passwd *user = survey->user_known ? getpwuid(survey->user) : NULL;

	if (!survey->user_known)
		return "-";
	(void)snprintf(number, TIME_MAX, "%lu", (unsigned long)survey->user);
	return user ? user->pw_name : number;
}

// Local time; EXACT: UTC, as ISO 8601 has it.
static const char *time_of(const struct survey *survey, bool exact, char text[TIME_MAX])
{
	struct tm time;

	if (survey->since.tv_sec == 0 || !(exact ? gmtime_r(&survey->since.tv_sec, &time) : localtime_r(&survey->since.tv_sec, &time)) ||
	    (exact ? strftime(text, TIME_MAX, "%FT%TZ", &time) : strftime(text, TIME_MAX, "%F %T", &time)) == 0)
		return "-";
	return text;
}

struct row {
	const char *cell[COLUMNS];
	char pid[TIME_MAX], user[TIME_MAX], time[TIME_MAX];
};

static void fill(struct row *row, const struct entry *entry)
{
	const struct survey *survey = &entry->survey;

	if (survey->pid > 0)
		(void)snprintf(row->pid, sizeof(row->pid), "%ld", (long)survey->pid);
	row->cell[0] = entry->name;
	row->cell[1] = survey_word(survey->state);
	row->cell[2] = survey->pid > 0 ? row->pid : "-";
	row->cell[3] = user_of(survey, row->user);
	row->cell[4] = time_of(survey, false, row->time);
	row->cell[5] = entry->command ? entry->command : "-";
}

void listing_table(const struct entry *entries, size_t count)
{
	static const char *const head[COLUMNS] = { "NAME", "STATE", "PID", "USER", "SINCE", "COMMAND" };
	struct row *rows = calloc(count + 1, sizeof(*rows));
	const char **cells = calloc((count + 1) * COLUMNS, sizeof(*cells));

	if (!rows || !cells)
		err(125, "memory");
	memcpy(cells, head, sizeof(head));
	for (size_t i = 0; i < count; i++) {
		fill(&rows[i], &entries[i]);
		memcpy(cells + (i + 1) * COLUMNS, rows[i].cell, sizeof(rows[i].cell));
	}
	table_print(cells, count + 1, COLUMNS, PID_COLUMN);
	free(cells);
	free(rows);
}

// In the encoding of the user's locale. A single byte from 128 to 159, or its form in UTF-8, drives a terminal as ESC does; as part of a
// longer character it does not.
static bool is_printable(const char *name)
{
	size_t left = strlen(name), length;
	mbstate_t state = { 0 };
	wchar_t character;

	for (; left > 0; name += length, left -= length) {
		length = mbrtowc(&character, name, left, &state);
		if (length == 0 || length > left || !iswprint((wint_t)character))
			return false;
	}
	return true;
}

void listing_names(const struct entry *entries, size_t count)
{
	// For these alone: all else is shown in ASCII.
	locale_t user = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	locale_t before = uselocale(user);

	for (size_t i = 0; i < count; i++)
		if (entries[i].exact_name && is_printable(entries[i].exact_name))
			puts(entries[i].exact_name);
	(void)uselocale(before);
	if (user)
		freelocale(user);
}

static void print_holder(const struct entry *entry)
{
	const struct survey *survey = &entry->survey;
	char text[TIME_MAX];

	if (survey->pid > 0)
		printf(" by pid %ld", (long)survey->pid);
	else
		printf(" by a process that cannot be seen from here");
	if (survey->user_known)
		printf(" of %s", user_of(survey, text));
	if (survey->since.tv_sec)
		printf(" since %s", time_of(survey, false, text));
	printf("%s%s\n", entry->command ? ": " : "", entry->command ? entry->command : "");
}

void listing_sentence(const struct entry *entry)
{
	const struct survey *survey = &entry->survey;

	printf("%s: ", entry->name);
	switch (survey->state) {
	case SURVEY_FREE:
		puts("free");
		break;
	case SURVEY_STALE:
		printf("free (left behind by pid %ld, which has ended)\n", (long)survey->pid);
		break;
	case SURVEY_MALFORMED:
		puts("free (the lock file names no process: malformed)");
		break;
	case SURVEY_STARTING:
		puts("free (the lock file is empty: a start is about to take it, or was killed doing so)");
		break;
	case SURVEY_HELD:
		printf("held");
		print_holder(entry);
		break;
	case SURVEY_HELD_BY_PID:
		printf("held, by its PID alone,");
		print_holder(entry);
		break;
	case SURVEY_ENDING:
		printf("still held, ending,");
		print_holder(entry);
		break;
	case SURVEY_FOREIGN:
		printf("%s: is no lock file: not a regular file with one link; a start would fail (remove it)\n", shown(entry->path));
		break;
	case SURVEY_UNREADABLE:
		printf("%s: %s\n", shown(entry->path), report_errno(survey->error));
		break;
	}
}

static json_t *json_text(const char *text)
{
	return text && text[0] && strcmp(text, "-") != 0 ? json_string(text) : json_null();
}

static json_t *json_of(const struct entry *entry)
{
	const struct survey *survey = &entry->survey;
	char user[TIME_MAX], time[TIME_MAX];
	json_t *object = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:s}",
		"name", entry->name, "state", survey_word(survey->state), "held", survey_is_held(survey->state),
		"pid", survey->pid > 0 ? json_integer(survey->pid) : json_null(), "user", json_text(user_of(survey, user)),
		"since", json_text(time_of(survey, true, time)), "command", json_text(entry->command),
		"path", entry->path);

	if (!object)
		errx(125, "%s: cannot be put into JSON", shown(entry->path));
	return object;
}

static void print_json(json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) == -1)
		err(125, "standard output");
	puts("");
	json_decref(value);
}

void listing_json(const struct entry *entries, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_of(&entries[i]));
	print_json(list);
}

void listing_json_one(const struct entry *entry)
{
	print_json(json_of(entry));
}
