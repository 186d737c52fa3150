// SPDX-License-Identifier: MIT
#include "clusterlist.h"

#include "clustervalue.h"
#include "etcdclient.h"
#include "lease.h"
#include "report.h"
#include "table.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vis.h>

// How long a look takes at most, and one try of it.
#define LOOK_TIME (6 * LEASE_SECOND)
#define LOOK_TRY (3 * LEASE_SECOND / 2)
#define TEXT_MAX 32

enum { NAME, STATE, HOST, PID, SINCE, COMMAND, COLUMNS };

// A key in a lock's queue.
struct item {
	char *exact_name;	// with whatever bytes it has
	char *name;		// readable
	uint64_t created;
	bool held;		// the first of its queue
	size_t waiting;		// of the oldest with its name: how many others there are
	struct clusterholder holder;
	char pid[TEXT_MAX], since[TEXT_MAX];
};

struct list {
	struct item *items;
	size_t count;
};

static bool sleep_for(void *unused, CURLM *curl, uint64_t until)
{
	uint64_t now = lease_clock();

	(void)unused;
	(void)curl_multi_poll(curl, NULL, 0, until > now ? (int)((until - now) / 1000000) + 1 : 0, NULL);
	return true;
}

static json_t *ask(const struct clustersettings *settings, const struct etcd_bytes *prefix)
{
	struct etcd *etcd = etcd_open(settings, sleep_for, NULL);
	struct etcd_answer answer;

	if (!etcd)
		err(CONFIG_EXIT_ERROR, "memory");
	if (etcd_call(etcd, "kv/range", etcd_ask_all(prefix), lease_clock() + LOOK_TIME, LOOK_TRY, &answer) != ETCD_DONE) {
		char *why;

		(void)stravis(&why, etcd_complaint(etcd), VIS_OCTAL | VIS_NL | VIS_TAB);
		errx(CONFIG_EXIT_ERROR, "etcd: %s", why);
	}
	etcd_close(etcd);
	return answer.body;
}

// As it is by the clock on the wall here; what cannot be understood as it was given.
static void tell_time(const char *start, char text[TEXT_MAX])
{
	struct tm time = { 0 };
	const char *end = strptime(start, "%Y-%m-%dT%H:%M:%SZ", &time);
	time_t seconds = end && *end == '\0' ? timegm(&time) : -1;

	if (seconds == -1 || !localtime_r(&seconds, &time) || strftime(text, TEXT_MAX, "%F %T", &time) == 0)
		(void)strlcpy(text, start, TEXT_MAX);
}

// Control characters as octal numbers; our own starts have written their commands so.
static void make_visible(char *text, size_t size)
{
	char *visible;

	if (stravis(&visible, text, VIS_OCTAL | VIS_NL | VIS_TAB | VIS_NOSLASH) == -1)
		err(CONFIG_EXIT_ERROR, "memory");
	(void)strlcpy(text, visible, size);
	free(visible);
}

static char *visible_name(const char *name)
{
	char *visible;

	if (stravis(&visible, name, VIS_OCTAL | VIS_NL | VIS_TAB) == -1)
		err(CONFIG_EXIT_ERROR, "memory");
	return visible;
}

// Whether ENTRY is in a lock's queue: the cluster may be used for other things, too. Its key ends in its lease's ID.
static bool take_item(const struct etcd_entry *entry, size_t prefix, struct item *item)
{
	char *name = clustervalue_name(&entry->key, prefix);
	char lease[TEXT_MAX];

	(void)snprintf(lease, sizeof(lease), "%" PRIx64, entry->lease);
	if (!entry->lease || !name || strcmp(entry->key.bytes + prefix + strlen(name) + 1, lease) != 0) {
		free(name);
		return false;
	}
	*item = (struct item){ .created = entry->created, .holder = clustervalue_read(&entry->value) };
	make_visible(item->holder.host, sizeof(item->holder.host));
	make_visible(item->holder.start, sizeof(item->holder.start));
	make_visible(item->holder.command, sizeof(item->holder.command));
	(void)snprintf(item->pid, sizeof(item->pid), "%ld", (long)item->holder.pid);
	tell_time(item->holder.start, item->since);
	item->exact_name = name;
	item->name = visible_name(name);
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int order = strcmp(one->exact_name, other->exact_name);

	return order ? order : (one->created > other->created) - (one->created < other->created);
}

// A queue is all that is below its name, as etcd's recipe has it: those of names that begin with this one and a slash are in it.
static bool is_in_queue(const struct item *item, const char *name)
{
	size_t length = strlen(name);

	return strncmp(item->exact_name, name, length) == 0 && (item->exact_name[length] == '\0' || item->exact_name[length] == '/');
}

// NULL: the queue of NAME is empty.
static const struct item *first_in_queue(const struct list *list, const char *name)
{
	const struct item *first = NULL;

	for (const struct item *item = list->items; item < list->items + list->count; item++)
		if (is_in_queue(item, name) && (!first || item->created < first->created))
			first = item;
	return first;
}

static void find_holders(struct list *list)
{
	struct item *oldest = NULL;

	for (struct item *item = list->items; item < list->items + list->count; item++) {
		if (oldest && strcmp(oldest->exact_name, item->exact_name) == 0) {
			oldest->waiting++;
			continue;
		}
		oldest = item;
		item->held = first_in_queue(list, item->exact_name) == item;
	}
}

// All that is below PREFIX, of which the first PREFIX_LENGTH bytes are not of the name.
static struct list look(const struct clustersettings *settings, const struct etcd_bytes *prefix)
{
	json_t *answer = ask(settings, prefix);
	size_t count = json_array_size(json_object_get(answer, "kvs"));
	struct list list = { .items = calloc(count + 1, sizeof(*list.items)) };
	struct etcd_entry entry;

	if (!list.items)
		err(CONFIG_EXIT_ERROR, "memory");
	for (size_t i = 0; i < count; i++) {
		struct item item;

		if (!etcd_read_entry(answer, i, &entry))
			errx(CONFIG_EXIT_ERROR, "etcd: " ETCD_STRANGE);
		if (take_item(&entry, strlen(settings->prefix), &item))
			list.items[list.count++] = item;
		etcd_entry_free(&entry);
	}
	json_decref(answer);
	qsort(list.items, list.count, sizeof(*list.items), by_name);
	find_holders(&list);
	return list;
}

static void free_list(struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].exact_name);
		free(list->items[i].name);
	}
	free(list->items);
}

static struct clustersettings read_settings(void)
{
	struct clustersettings settings;
	struct config_error error;

	if (clustersettings_read(environ, &settings, &error))
		return settings;
	report_config_error(&error);
	exit(CONFIG_EXIT_ERROR);
}

static const char *or_dash(const char *text)
{
	return text[0] ? text : "-";
}

static void print_table(const struct list *list)
{
	static const char *const head[COLUMNS] = { "NAME", "STATE", "HOST", "PID", "SINCE", "COMMAND" };
	const char **cells = calloc((list->count + 1) * COLUMNS, sizeof(*cells));

	if (!cells)
		err(CONFIG_EXIT_ERROR, "memory");
	memcpy(cells, head, sizeof(head));
	for (size_t i = 0; i < list->count; i++) {
		const struct item *item = &list->items[i];
		const char **row = cells + (i + 1) * COLUMNS;

		row[NAME] = item->name;
		row[STATE] = item->held ? "held" : "waiting";
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

static json_t *json_of(const struct item *item)
{
	json_t *object = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:I}", "name", item->name, "state",
		item->held ? "held" : "waiting", "held", item->held, "host", text(item->holder.host), "pid",
		item->holder.pid ? json_integer(item->holder.pid) : json_null(), "since", text(item->holder.start), "command",
		text(item->holder.command), "fence", (json_int_t)item->created, "waiting", (json_int_t)item->waiting);

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
	struct clustersettings settings = read_settings();
	struct etcd_bytes prefix = etcd_bytes(settings.prefix, strlen(settings.prefix));
	struct list list = look(&settings, &prefix);
	json_t *array = json_array();

	for (size_t i = 0; i < list.count; i++) {
		if (form == CLUSTERLIST_JSON)
			json_array_append_new(array, json_of(&list.items[i]));
		else if (form == CLUSTERLIST_NAMES && list.items[i].held && strcmp(list.items[i].name, list.items[i].exact_name) == 0)
			puts(list.items[i].name);
	}
	if (form == CLUSTERLIST_JSON)
		print_json(json_incref(array));
	else if (form == CLUSTERLIST_PEOPLE)
		print_table(&list);
	json_decref(array);
	free_list(&list);
	etcd_bytes_free(&prefix);
	clustersettings_free(&settings);
}

static void print_sentence(const struct item *item, const char *name)
{
	const struct clusterholder *holder = &item->holder;

	if (strcmp(item->exact_name, name) != 0) {
		char *visible = visible_name(name);

		printf("%s: not to be had while a longer name is held: ", visible);
		free(visible);
	}
	printf("%s: held", item->name);
	if (holder->pid)
		printf(" by pid %ld on %s", (long)holder->pid, or_dash(holder->host));
	else
		printf(" by a client that does not say who it is");
	if (item->since[0])
		printf(" since %s", item->since);
	if (item->waiting)
		printf(", %zu waiting", item->waiting);
	printf("%s%s\n", holder->command[0] ? ": " : "", holder->command);
}

static void print_free(const char *name, enum clusterlist_form form)
{
	char *visible = visible_name(name);

	if (form == CLUSTERLIST_JSON)
		print_json(json_pack("{s:s, s:s, s:b, s:n, s:n, s:n, s:n, s:n, s:i}", "name", visible, "state", "free", "held", 0, "host",
				     "pid", "since", "command", "fence", "waiting", 0));
	else
		printf("%s: free\n", visible);
	free(visible);
}

bool clusterlist_one(const char *name, enum clusterlist_form form)
{
	struct clustersettings settings = read_settings();
	struct etcd_bytes prefix = { .bytes = NULL };
	int length = asprintf(&prefix.bytes, "%s%s/", settings.prefix, name);
	struct list list;
	const struct item *found = NULL;

	if (length == -1)
		err(CONFIG_EXIT_ERROR, "memory");
	prefix.length = (size_t)length;
	list = look(&settings, &prefix);
	found = first_in_queue(&list, name);
	if (!found)
		print_free(name, form);
	else if (form == CLUSTERLIST_JSON)
		print_json(json_of(found));
	else
		print_sentence(found, name);
	free_list(&list);
	etcd_bytes_free(&prefix);
	clustersettings_free(&settings);
	return found != NULL;
}
