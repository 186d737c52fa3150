// SPDX-License-Identifier: MIT
#include "etcdjson.h"

#include <errno.h>
#include <inttypes.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 24

struct etcd_bytes etcd_bytes(const void *bytes, size_t length)
{
	struct etcd_bytes copy = { .bytes = malloc(length + 1), .length = length };

	if (copy.bytes) {
		memcpy(copy.bytes, bytes, length);
		copy.bytes[length] = '\0';
	}
	return copy;
}

void etcd_bytes_free(struct etcd_bytes *bytes)
{
	free(bytes->bytes);
	*bytes = (struct etcd_bytes){ .bytes = NULL };
}

void etcd_entry_free(struct etcd_entry *entry)
{
	etcd_bytes_free(&entry->key);
	etcd_bytes_free(&entry->value);
	entry->created = 0;
}

static json_t *encoded(const struct etcd_bytes *bytes)
{
	size_t size = (bytes->length + 2) / 3 * 4 + 1;
	char *text = malloc(size);
	json_t *string;

	if (!text)
		return NULL;
	(void)b64_ntop((const unsigned char *)bytes->bytes, bytes->length, text, size);
	string = json_string(text);
	free(text);
	return string;
}

// The first key behind all those that begin with PREFIX. Never of 0xff alone: a prefix ends in a slash, or is empty, and then the
// end is that of all keys.
static json_t *encoded_end(const struct etcd_bytes *prefix)
{
	struct etcd_bytes end = etcd_bytes(prefix->length ? prefix->bytes : "", prefix->length ? prefix->length : 1);
	json_t *string;

	if (!end.bytes)
		return NULL;
	if (prefix->length)
		end.bytes[end.length - 1]++;
	string = encoded(&end);
	etcd_bytes_free(&end);
	return string;
}

static json_t *number(uint64_t value)
{
	char text[NUMBER_MAX];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

json_t *etcd_ask_lease(uint64_t lease)
{
	return json_pack("{s:o}", "ID", number(lease));
}

json_t *etcd_ask_grant(uint64_t lease, unsigned ttl)
{
	return json_pack("{s:o, s:o}", "ID", number(lease), "TTL", number(ttl));
}

json_t *etcd_ask_token(const char *user, const char *password)
{
	return json_pack("{s:s, s:s}", "name", user, "password", password);
}

static json_t *first_of(const struct etcd_bytes *queue)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:s}", "key", encoded(queue), "range_end", encoded_end(queue), "sort_target", "CREATE",
			 "sort_order", "ASCEND", "limit", "1");
}

json_t *etcd_ask_first(const struct etcd_bytes *queue)
{
	return first_of(queue);
}

json_t *etcd_ask_predecessor(const struct etcd_bytes *queue, uint64_t created)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:s, s:o}", "key", encoded(queue), "range_end", encoded_end(queue), "sort_target",
			 "CREATE", "sort_order", "DESCEND", "limit", "1", "max_create_revision", number(created - 1));
}

json_t *etcd_ask_place(const struct etcd_bytes *queue, const struct etcd_bytes *key, uint64_t created)
{
	return json_pack("{s:[{s:{s:o}}, {s:o}, {s:o}]}", "success", "request_range", "key", encoded(key), "request_range", first_of(queue),
			 "request_range", etcd_ask_predecessor(queue, created));
}

json_t *etcd_ask_page(const struct etcd_bytes *queue, const struct etcd_bytes *after, unsigned limit, uint64_t revision)
{
	const struct etcd_bytes lowest = { .bytes = (char[]){ '\0' }, .length = 1 };
	// The first key behind AFTER is the same with a zero byte, which each of our bytes have behind them.
	const struct etcd_bytes next = after ? (struct etcd_bytes){ after->bytes, after->length + 1 } : queue->length ? *queue : lowest;

	return json_pack("{s:o, s:o, s:o, s:o, s:b}", "key", encoded(&next), "range_end", encoded_end(queue), "limit", number(limit),
			 "revision", number(revision), "keys_only", 1);
}

json_t *etcd_ask_ranges(void)
{
	return json_pack("{s:[]}", "success");
}

static bool add_range(json_t *request, json_t *range, uint64_t revision)
{
	json_t *operation = json_pack("{s:o}", "request_range", range);

	return operation && json_object_set_new(range, "revision", number(revision)) == 0 &&
	       json_array_append_new(json_object_get(request, "success"), operation) == 0;
}

bool etcd_add_key(json_t *request, const struct etcd_bytes *key, uint64_t revision)
{
	return add_range(request, json_pack("{s:o}", "key", encoded(key)), revision);
}

bool etcd_add_first(json_t *request, const struct etcd_bytes *queue, uint64_t revision)
{
	json_t *range = first_of(queue);

	return range && json_object_set_new(range, "keys_only", json_true()) == 0 && add_range(request, range, revision);
}

static json_t *absence_of(const struct etcd_bytes *key)
{
	return json_pack("{s:o, s:s, s:s, s:s}", "key", encoded(key), "target", "CREATE", "result", "EQUAL", "create_revision", "0");
}

json_t *etcd_ask_entry(const struct etcd_bytes *queue, const struct etcd_bytes *key, const struct etcd_bytes *value, uint64_t lease,
		       bool try)
{
	json_t *absent = absence_of(try ? queue : key);

	if (try)
		(void)json_object_set_new(absent, "range_end", encoded_end(queue));
	return json_pack("{s:[o], s:[{s:{s:o, s:o, s:o}}, {s:o}], s:[{s:{s:o}}, {s:o}]}", "compare", absent,
			 "success",
			 "request_put", "key", encoded(key), "value", encoded(value), "lease", number(lease),
			 "request_range", first_of(queue),
			 "failure",
			 "request_range", "key", encoded(key),
			 "request_range", first_of(queue));
}

json_t *etcd_ask_release(const struct etcd_bytes *key, uint64_t created, const struct etcd_bytes *value, uint64_t lease)
{
	return json_pack("{s:[{s:o, s:s, s:s, s:o}], s:[{s:{s:o, s:o, s:o}}]}", "compare", "key", encoded(key), "target", "CREATE", "result",
			 "EQUAL", "create_revision", number(created), "success", "request_put", "key", encoded(key), "value",
			 encoded(value), "lease", number(lease));
}

static int compare(const struct etcd_bytes *left, const struct etcd_bytes *right)
{
	int order = memcmp(left->bytes, right->bytes, left->length < right->length ? left->length : right->length);

	return order ? order : (left->length > right->length) - (left->length < right->length);
}

json_t *etcd_ask_watch(const struct etcd_bytes *key, const struct etcd_bytes *other, uint64_t revision)
{
	const struct etcd_bytes *first = other && compare(other, key) < 0 ? other : key, *last = first == key ? other : key;
	json_t *watch = json_pack("{s:o, s:o, s:[s]}", "key", encoded(first), "start_revision", number(revision + 1), "filters", "NOPUT");

	// The end of the range is the first key behind the last: that with a zero byte more, as each of our bytes have it behind them.
	if (watch && last && json_object_set_new(watch, "range_end", encoded(&(struct etcd_bytes){ last->bytes, last->length + 1 })) == -1) {
		json_decref(watch);
		return NULL;
	}
	return json_pack("{s:o}", "create_request", watch);
}

static bool read_number(const json_t *object, const char *name, uint64_t *value)
{
	const char *text = json_string_value(json_object_get(object, name));
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static bool decode(const json_t *object, const char *name, struct etcd_bytes *bytes)
{
	const json_t *string = json_object_get(object, name);
	const char *text = json_string_value(string);
	size_t size = json_string_length(string) / 4 * 3 + 1;
	int length = -1;

	// What is empty is left out.
	*bytes = (struct etcd_bytes){ .bytes = malloc(size) };
	if (bytes->bytes)
		length = text ? b64_pton(text, (unsigned char *)bytes->bytes, size) : 0;
	if (length < 0) {
		etcd_bytes_free(bytes);
		return false;
	}
	bytes->length = (size_t)length;
	bytes->bytes[length] = '\0';
	return true;
}

bool etcd_read_ttl(const json_t *answer, uint64_t *ttl)
{
	const json_t *result = json_object_get(answer, "result");

	*ttl = 0;
	if (!result)
		result = answer;
	return json_object_get(result, "ID") && (read_number(result, "TTL", ttl) || !json_object_get(result, "TTL"));
}

bool etcd_read_token(const json_t *answer, const char **token)
{
	*token = json_string_value(json_object_get(answer, "token"));
	return *token != NULL;
}

bool etcd_read_term(const json_t *answer, uint64_t *term)
{
	const json_t *result = json_object_get(answer, "result");

	return read_number(json_object_get(result ? result : answer, "header"), "raft_term", term);
}

bool etcd_read_success(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "succeeded"));
}

static bool read_revision(const json_t *answer, uint64_t *revision)
{
	return read_number(json_object_get(answer, "header"), "revision", revision);
}

bool etcd_read_entry(const json_t *answer, size_t index, struct etcd_entry *entry)
{
	const json_t *found = json_array_get(json_object_get(answer, "kvs"), index);

	*entry = (struct etcd_entry){ .created = 0 };
	(void)read_number(found, "lease", &entry->lease);
	if (found && read_number(found, "create_revision", &entry->created) && decode(found, "key", &entry->key) &&
	    decode(found, "value", &entry->value))
		return true;
	etcd_entry_free(entry);
	return false;
}

// What cannot be read is somebody's: only an answer without keys says that there is nobody.
static bool read_one_or_none(const json_t *answer, struct etcd_entry *entry)
{
	const json_t *found = json_object_get(answer, "kvs");

	return etcd_read_entry(answer, 0, entry) || !found || (json_is_array(found) && json_array_size(found) == 0);
}

static const json_t *range_of(const json_t *answer, size_t index)
{
	return json_object_get(json_array_get(json_object_get(answer, "responses"), index), "response_range");
}

bool etcd_read_place(const json_t *answer, struct etcd_place *place)
{
	struct etcd_entry own;

	*place = (struct etcd_place){ .own = 0 };
	if (!range_of(answer, 2) || !read_revision(answer, &place->revision) || !read_one_or_none(range_of(answer, 0), &own))
		return false;
	(void)read_number(range_of(answer, 1), "count", &place->count);
	place->own = own.created;
	etcd_entry_free(&own);
	// Where the own key is there, the queue has a first.
	if (read_one_or_none(range_of(answer, 1), &place->first) && (place->first.created || !place->own) &&
	    read_one_or_none(range_of(answer, 2), &place->before))
		return true;
	etcd_entry_free(&place->first);
	return false;
}

bool etcd_read_page(const json_t *answer, size_t *count, uint64_t *revision, bool *more)
{
	*count = json_array_size(json_object_get(answer, "kvs"));
	*more = json_is_true(json_object_get(answer, "more"));
	return read_revision(answer, revision) && (!*more || *count);
}

bool etcd_read_range(const json_t *answer, size_t index, struct etcd_entry *entry)
{
	const json_t *range = range_of(answer, index);

	*entry = (struct etcd_entry){ .created = 0 };
	return range && read_one_or_none(range, entry);
}

bool etcd_read_first(const json_t *answer, struct etcd_entry *entry, uint64_t *revision)
{
	if (read_revision(answer, revision) && read_one_or_none(answer, entry))
		return true;
	*entry = (struct etcd_entry){ .created = 0 };
	return false;
}

static bool read_own(const json_t *answer, const json_t *range, struct etcd_queue *queue)
{
	struct etcd_entry entry;

	if (json_is_true(json_object_get(answer, "succeeded"))) {
		queue->own = queue->revision;
		return true;
	}
	if (!range || !read_one_or_none(range, &entry))
		return false;
	queue->own = entry.created;
	etcd_entry_free(&entry);
	return true;
}

bool etcd_read_queue(const json_t *answer, struct etcd_queue *queue)
{
	const json_t *responses = json_object_get(answer, "responses");
	const json_t *own = json_object_get(json_array_get(responses, 0), "response_range");
	const json_t *first = json_object_get(json_array_get(responses, 1), "response_range");

	*queue = (struct etcd_queue){ .own = 0 };
	if (json_array_size(responses) != 2 || !first || !read_revision(answer, &queue->revision) || !read_own(answer, own, queue))
		return false;
	// Where the own key is there, the queue has a first.
	return read_one_or_none(first, &queue->first) && (queue->first.created || !queue->own);
}

static bool is_of(const json_t *event, const struct etcd_bytes *key)
{
	struct etcd_bytes found;
	bool same = decode(json_object_get(event, "kv"), "key", &found) && compare(&found, key) == 0;

	etcd_bytes_free(&found);
	return same;
}

bool etcd_tells_deletion(const json_t *message, const struct etcd_bytes *key)
{
	const json_t *events = json_object_get(json_object_get(message, "result"), "events");
	size_t i;
	json_t *event;

	// Any event is a deletion: nothing else was asked for.
	json_array_foreach(events, i, event)
		if (is_of(event, key))
			return true;
	return false;
}

bool etcd_is_end_of_watch(const json_t *message, const struct etcd_bytes *key, const struct etcd_bytes *other)
{
	const json_t *result = json_object_get(message, "result");

	return !result || json_is_true(json_object_get(result, "canceled")) || json_object_get(result, "compact_revision") ||
	       etcd_tells_deletion(message, key) || (other && etcd_tells_deletion(message, other));
}

struct etcd_error etcd_read_error(const json_t *answer)
{
	// A stream has it in an object of its own, where older gateways call the code otherwise.
	const json_t *inner = json_object_get(answer, "error");
	const json_t *error = json_is_object(inner) ? inner : answer;
	const json_t *older = json_object_get(inner, "grpc_code");
	const json_t *code = older ? older : json_object_get(error, "code");
	const char *message = json_string_value(json_object_get(error, "message"));

	if (!message)
		message = json_string_value(json_object_get(error, "error"));
	return (struct etcd_error){ .code = json_is_integer(code) ? (int)json_integer_value(code) : -1, .message = message };
}
