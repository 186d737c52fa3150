// SPDX-License-Identifier: MIT
#include "clusterlook.h"

#include "etcdclient.h"
#include "lease.h"
#include "report.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vis.h>

// How long one request takes at most, and one try of it.
#define LOOK_TIME (6 * LEASE_SECOND)
#define LOOK_TRY (3 * LEASE_SECOND / 2)
// etcd's gateway gives no answer of more than 4 MiB. A key is some 40 bytes long, the value of a lock's some 200; a stranger's may have a
// megabyte and a half.
#define KEYS_AT_ONCE 2000
#define VALUES_AT_ONCE 50

static bool sleep_for(void *unused, CURLM *curl, uint64_t until)
{
	uint64_t now = lease_clock();

	(void)unused;
	(void)curl_multi_poll(curl, NULL, 0, until > now ? (int)((until - now) / 1000000) + 1 : 0, NULL);
	return true;
}

static void *checked(void *memory)
{
	if (!memory)
		err(CONFIG_EXIT_ERROR, "memory");
	return memory;
}

char *clusterlook_visible(const char *text)
{
	char *visible;

	if (stravis(&visible, text, VIS_OCTAL | VIS_NL | VIS_TAB) == -1)
		err(CONFIG_EXIT_ERROR, "memory");
	return visible;
}

static json_t *ask(struct clusterlook *look, const char *path, json_t *request)
{
	struct etcd_answer answer;

	if (etcd_call(look->etcd, path, checked(request), lease_clock() + LOOK_TIME, LOOK_TRY, &answer) != ETCD_DONE)
		errx(CONFIG_EXIT_ERROR, "etcd: %s", clusterlook_visible(etcd_complaint(look->etcd)));
	return answer.body;
}

static _Noreturn void give_up(void)
{
	errx(CONFIG_EXIT_ERROR, "etcd: " ETCD_STRANGE);
}

static struct etcd_bytes queue_of(const struct clusterlook *look, const char *name)
{
	char *queue;
	int length = asprintf(&queue, "%s%s/", look->settings.prefix, name);

	if (length == -1)
		err(CONFIG_EXIT_ERROR, "memory");
	return (struct etcd_bytes){ queue, (size_t)length };
}

// As it is by the clock on the wall here.
static void write_time(time_t seconds, char text[CLUSTERLOOK_TEXT_MAX])
{
	struct tm time;

	if (!localtime_r(&seconds, &time) || strftime(text, CLUSTERLOOK_TEXT_MAX, "%F %T", &time) == 0)
		text[0] = '\0';
}

// What cannot be understood as it was given.
static void tell_time(const char *start, char text[CLUSTERLOOK_TEXT_MAX])
{
	struct tm time = { 0 };
	const char *end = strptime(start, "%Y-%m-%dT%H:%M:%SZ", &time);
	time_t seconds = end && *end == '\0' ? timegm(&time) : -1;

	text[0] = '\0';
	if (seconds != -1)
		write_time(seconds, text);
	if (!text[0])
		(void)strlcpy(text, start, CLUSTERLOOK_TEXT_MAX);
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

static void understand(struct clusterlook_item *item, const struct etcd_bytes *value)
{
	item->holder = clustervalue_read(value);
	make_visible(item->holder.host, sizeof(item->holder.host));
	make_visible(item->holder.start, sizeof(item->holder.start));
	make_visible(item->holder.command, sizeof(item->holder.command));
	(void)snprintf(item->pid, sizeof(item->pid), "%ld", (long)item->holder.pid);
	tell_time(item->holder.start, item->since);
}

// What is behind NAME in a key; a lock's ends in its lease's ID, in hexadecimal.
static const char *end_of(const struct clusterlook *look, const struct etcd_entry *entry, const char *name)
{
	return entry->key.bytes + strlen(look->settings.prefix) + strlen(name) + 1;
}

static bool ends_in_lease(const struct clusterlook *look, const struct clusterlook_item *item)
{
	char id[CLUSTERLOOK_TEXT_MAX];

	(void)snprintf(id, sizeof(id), "%" PRIx64, item->entry.lease);
	return strcmp(end_of(look, &item->entry, item->exact_name), id) == 0;
}

static bool ends_in_number(const char *end)
{
	size_t length = strspn(end, "0123456789abcdef");

	return length > 0 && length <= 16 && end[length] == '\0';
}

static void add(struct clusterlook *look, const struct etcd_entry *entry, char *name)
{
	if (look->count == look->room) {
		look->room = look->room ? look->room * 2 : 64;
		look->items = checked(reallocarray(look->items, look->room, sizeof(*look->items)));
	}
	look->items[look->count++] = (struct clusterlook_item){ .entry = *entry, .exact_name = name, .name = clusterlook_visible(name) };
}

// ADD is one of etcd_add_...(), for BYTES. To be freed.
static struct etcd_entry ask_range(struct clusterlook *look, bool (*add_range)(json_t *, const struct etcd_bytes *, uint64_t),
				   const struct etcd_bytes *bytes)
{
	json_t *request = checked(etcd_ask_ranges()), *answer;
	struct etcd_entry entry;

	if (!add_range(request, bytes, look->revision))
		err(CONFIG_EXIT_ERROR, "memory");
	answer = ask(look, "kv/txn", request);
	if (!etcd_read_range(answer, 0, &entry))
		give_up();
	json_decref(answer);
	return entry;
}

// The key of a lock that is done has another lease than it was named after: its value says what it is. It is asked for alone, since it
// may be a stranger's, and a large one.
static bool is_done(struct clusterlook *look, const struct etcd_bytes *key)
{
	struct etcd_entry entry = ask_range(look, etcd_add_key, key);
	bool done = clustervalue_read(&entry.value).done;

	etcd_entry_free(&entry);
	return done;
}

// The cluster may be used for other things, too. What may be a lock's, though its lease is another one, is taken for now.
static void take(struct clusterlook *look, struct etcd_entry *entry)
{
	char *name = clustervalue_name(&entry->key, strlen(look->settings.prefix));

	if (entry->lease && name && ends_in_number(end_of(look, entry, name))) {
		add(look, entry, name);
		return;
	}
	free(name);
	etcd_entry_free(entry);
}

// Takes what is a lock's of a page. Returns its last key.
static struct etcd_bytes take_page(struct clusterlook *look, const json_t *page, size_t count)
{
	struct etcd_bytes last = { .bytes = NULL };

	for (size_t i = 0; i < count; i++) {
		struct etcd_entry entry;

		if (!etcd_read_entry(page, i, &entry))
			give_up();
		if (i + 1 == count)
			last = etcd_bytes(entry.key.bytes, entry.key.length);
		take(look, &entry);
	}
	return last;
}

static void read_keys(struct clusterlook *look, const struct etcd_bytes *prefix)
{
	struct etcd_bytes last = { .bytes = NULL };
	bool more = true;

	while (more) {
		json_t *page = ask(look, "kv/range", etcd_ask_page(prefix, last.bytes ? &last : NULL, KEYS_AT_ONCE, look->revision));
		uint64_t revision;
		size_t count;

		if (!etcd_read_page(page, &count, &revision, &more))
			give_up();
		if (!look->revision)
			look->revision = revision;
		etcd_bytes_free(&last);
		last = take_page(look, page, count);
		json_decref(page);
	}
	etcd_bytes_free(&last);
}

static int by_name(const void *a, const void *b)
{
	const struct clusterlook_item *one = a, *other = b;
	int order = strcmp(one->exact_name, other->exact_name);

	return order ? order : (one->entry.created > other->entry.created) - (one->entry.created < other->entry.created);
}

const char *clusterlook_word(enum clusterlook_state state)
{
	static const char *const words[] = { [CLUSTERLOOK_WAITING] = "waiting", [CLUSTERLOOK_HELD] = "held", [CLUSTERLOOK_DONE] = "done" };

	return words[state];
}

static void tell_end_of_lease(struct clusterlook *look, struct clusterlook_item *item)
{
	json_t *answer = ask(look, "lease/timetolive", etcd_ask_lease(item->entry.lease));
	uint64_t seconds;

	if (etcd_read_ttl(answer, &seconds) && seconds <= LEASE_TTL_MAX) {
		char text[CLUSTERLOOK_TEXT_MAX];

		item->until = time(NULL) + (time_t)seconds;
		write_time(item->until, text);
		(void)snprintf(item->words, sizeof(item->words), "done, held until %s", text);
	}
	json_decref(answer);
}

// The oldest of each name is first in its queue, unless a longer name's or a stranger's key is older.
static void judge(struct clusterlook *look, struct clusterlook_item *item, const json_t *answer, size_t range)
{
	struct etcd_entry first;

	if (!etcd_read_range(answer, range, &first))
		give_up();
	if (first.created == item->entry.created)
		item->state = item->holder.done ? CLUSTERLOOK_DONE : CLUSTERLOOK_HELD;
	(void)strlcpy(item->words, clusterlook_word(item->state), sizeof(item->words));
	etcd_entry_free(&first);
	if (item->state == CLUSTERLOOK_DONE)
		tell_end_of_lease(look, item);
}

static bool is_oldest(const struct clusterlook *look, const struct clusterlook_item *item)
{
	return item == look->items || strcmp(item->exact_name, item[-1].exact_name) != 0;
}

// Asks for the values of COUNT items; and for the first of its queue where an item is the oldest with its name.
static json_t *ask_details(struct clusterlook *look, const struct clusterlook_item *items, size_t count)
{
	json_t *request = checked(etcd_ask_ranges());
	bool added = true;

	for (size_t i = 0; i < count; i++) {
		struct etcd_bytes queue = queue_of(look, items[i].exact_name);

		added &= etcd_add_key(request, &items[i].entry.key, look->revision);
		if (is_oldest(look, &items[i]))
			added &= etcd_add_first(request, &queue, look->revision);
		etcd_bytes_free(&queue);
	}
	if (!added)
		err(CONFIG_EXIT_ERROR, "memory");
	return ask(look, "kv/txn", request);
}

static void read_details(struct clusterlook *look, struct clusterlook_item *items, size_t count)
{
	json_t *answer = ask_details(look, items, count);
	size_t range = 0;

	for (size_t i = 0; i < count; i++) {
		struct etcd_entry entry;

		if (!etcd_read_range(answer, range++, &entry))
			give_up();
		(void)strlcpy(items[i].words, clusterlook_word(CLUSTERLOOK_WAITING), sizeof(items[i].words));
		understand(&items[i], &entry.value);
		etcd_entry_free(&entry);
		if (is_oldest(look, &items[i]))
			judge(look, &items[i], answer, range++);
	}
	json_decref(answer);
}

static void free_item(struct clusterlook_item *item)
{
	etcd_entry_free(&item->entry);
	free(item->exact_name);
	free(item->name);
}

// Leaves the strangers' keys out. One that is done is the oldest with its name: those behind it need not be asked for.
static void leave_strangers(struct clusterlook *look)
{
	size_t kept = 0;
	bool first = true;

	for (size_t i = 0; i < look->count; i++) {
		struct clusterlook_item *item = &look->items[i];
		bool is_last = i + 1 == look->count || strcmp(item->exact_name, item[1].exact_name) != 0;

		if (ends_in_lease(look, item) || (first && is_done(look, &item->entry.key)))
			look->items[kept++] = *item;
		else
			free_item(item);
		first = is_last;
	}
	look->count = kept;
}

static void count_waiting(struct clusterlook *look)
{
	struct clusterlook_item *oldest = look->items;

	for (size_t i = 0; i < look->count; i++) {
		if (is_oldest(look, &look->items[i]))
			oldest = &look->items[i];
		else
			oldest->waiting++;
	}
}

void clusterlook_open(struct clusterlook *look, const char *name)
{
	struct etcd_bytes prefix;
	struct config_error error;

	*look = (struct clusterlook){ .revision = 0 };
	if (!clustersettings_read(environ, &look->settings, &error)) {
		report_config_error(&error);
		exit(CONFIG_EXIT_ERROR);
	}
	look->etcd = checked(etcd_open(&look->settings, sleep_for, NULL));
	prefix = name ? queue_of(look, name) : etcd_bytes(look->settings.prefix, strlen(look->settings.prefix));
	read_keys(look, &prefix);
	etcd_bytes_free(&prefix);
	if (look->count > 0)
		qsort(look->items, look->count, sizeof(*look->items), by_name);
	leave_strangers(look);
	count_waiting(look);
	for (size_t at = 0; at < look->count; at += VALUES_AT_ONCE)
		read_details(look, look->items + at, look->count - at < VALUES_AT_ONCE ? look->count - at : VALUES_AT_ONCE);
}

struct etcd_entry clusterlook_first(struct clusterlook *look, const char *name)
{
	struct etcd_bytes queue = queue_of(look, name);
	struct etcd_entry first = ask_range(look, etcd_add_first, &queue);

	etcd_bytes_free(&queue);
	return first;
}

void clusterlook_close(struct clusterlook *look)
{
	for (size_t i = 0; i < look->count; i++)
		free_item(&look->items[i]);
	free(look->items);
	etcd_close(look->etcd);
	clustersettings_free(&look->settings);
}
