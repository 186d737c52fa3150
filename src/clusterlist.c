// SPDX-License-Identifier: MIT
#include "clusterlist.h"

#include "clusterlook.h"
#include "config.h"
#include "table.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAME, STATE, HOST, PID, SINCE, COMMAND, COLUMNS };

static const char *or_dash(const char *text)
{
	return text[0] ? text : "-";
}

static void print_table(const struct clusterlook *list)
{
	static const char *const head[COLUMNS] = { "NAME", "STATE", "HOST", "PID", "SINCE", "COMMAND" };
	const char **cells = calloc((list->count + 1) * COLUMNS, sizeof(*cells));

	if (!cells)
		err(CONFIG_EXIT_ERROR, "memory");
	memcpy(cells, head, sizeof(head));
	for (size_t i = 0; i < list->count; i++) {
		const struct clusterlook_item *item = &list->items[i];
		const char **row = cells + (i + 1) * COLUMNS;

		row[NAME] = item->name;
		row[STATE] = item->words;
		row[HOST] = or_dash(item->holder.host);
		row[PID] = item->holder.pid ? item->pid : "-";
		row[SINCE] = or_dash(item->since);
		row[COMMAND] = or_dash(item->holder.command);
	}
	table_print(cells, list->count + 1, COLUMNS, PID);
	free(cells);
}

static json_t *text(const char *string)
{
	return string[0] ? json_string(string) : json_null();
}

static json_t *utc(time_t seconds)
{
	char string[CLUSTERLOOK_TEXT_MAX];
	struct tm time;

	if (!seconds || !gmtime_r(&seconds, &time) || strftime(string, sizeof(string), "%FT%TZ", &time) == 0)
		return json_null();
	return json_string(string);
}

static json_t *json_of(const struct clusterlook_item *item)
{
	char *key = clusterlook_visible(item->entry.key.bytes);
	json_t *object = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:s}", "name", item->name, "state", clusterlook_word(item->state),
		"held", item->state != CLUSTERLOOK_WAITING, "host", text(item->holder.host), "pid",
		item->holder.pid ? json_integer(item->holder.pid) : json_null(), "since", text(item->holder.start), "command",
		text(item->holder.command), "fence", (json_int_t)item->entry.created, "waiting", (json_int_t)item->waiting,
		"until", utc(item->until), "key", key);

	free(key);
	if (!object)
		errx(CONFIG_EXIT_ERROR, "%s: cannot be put into JSON", item->name);
	return object;
}

static void print_json(json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2)) == -1)
		err(CONFIG_EXIT_ERROR, "standard output");
	puts("");
	json_decref(value);
}

void clusterlist_all(enum clusterlist_form form)
{
	struct clusterlook look;
	json_t *array = json_array();

	clusterlook_open(&look, NULL);
	for (size_t i = 0; i < look.count; i++) {
		const struct clusterlook_item *item = &look.items[i];

		if (form == CLUSTERLIST_JSON)
			json_array_append_new(array, json_of(item));
		else if (form == CLUSTERLIST_NAMES && item->state != CLUSTERLOOK_WAITING && strcmp(item->name, item->exact_name) == 0)
			puts(item->name);
	}
	if (form == CLUSTERLIST_JSON)
		print_json(json_incref(array));
	else if (form == CLUSTERLIST_PEOPLE)
		print_table(&look);
	json_decref(array);
	clusterlook_close(&look);
}

static void print_sentence(const struct clusterlook_item *item, const char *name)
{
	const struct clusterholder *holder = &item->holder;

	if (strcmp(item->exact_name, name) != 0) {
		char *visible = clusterlook_visible(name);

		printf("%s: not to be had while a longer name is held: ", visible);
		free(visible);
	}
	printf("%s: %s", item->name, item->words);
	if (holder->pid)
		printf("%s by pid %ld on %s", item->state == CLUSTERLOOK_DONE ? "; run" : "", (long)holder->pid, or_dash(holder->host));
	else
		printf(" by a client that does not say who it is");
	if (item->since[0])
		printf(" since %s", item->since);
	if (item->waiting)
		printf(", %zu waiting", item->waiting);
	printf("%s%s\n", holder->command[0] ? ": " : "", holder->command);
}

// NAME, which no lock of ours keeps from being had: it is free, or (KEY) that key is first in its queue.
static void print_other(const char *name, const char *key, enum clusterlist_form form)
{
	char *visible = clusterlook_visible(name), *visible_key = key ? clusterlook_visible(key) : NULL;

	if (form == CLUSTERLIST_JSON)
		print_json(json_pack("{s:s, s:s, s:b, s:n, s:n, s:n, s:n, s:n, s:i, s:n, s:s?}", "name", visible, "state", key ? "blocked" : "free",
				     "held", key != NULL, "host", "pid", "since", "command", "fence", "waiting", 0, "until", "key", visible_key));
	else if (key)
		printf("%s: not to be had while there is the key %s, which is no lock's\n", visible, visible_key);
	else
		printf("%s: free\n", visible);
	free(visible_key);
	free(visible);
}

// The item whose key is the first of a queue; NULL: it is no lock's.
static const struct clusterlook_item *find(const struct clusterlook *look, const struct etcd_entry *first)
{
	for (size_t i = 0; i < look->count; i++)
		if (look->items[i].entry.key.length == first->key.length &&
		    memcmp(look->items[i].entry.key.bytes, first->key.bytes, first->key.length) == 0)
			return &look->items[i];
	return NULL;
}

bool clusterlist_one(const char *name, enum clusterlist_form form)
{
	struct clusterlook look;
	struct etcd_entry first;
	const struct clusterlook_item *found;
	bool held;

	clusterlook_open(&look, name);
	first = clusterlook_first(&look, name);
	held = first.created != 0;
	found = find(&look, &first);
	if (!found)
		print_other(name, first.key.bytes, form);
	else if (form == CLUSTERLIST_JSON)
		print_json(json_of(found));
	else
		print_sentence(found, name);
	etcd_entry_free(&first);
	clusterlook_close(&look);
	return held;
}
