// SPDX-License-Identifier: MIT
#include "clustervalue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vis.h>

#define DONE "done"

// The arguments with blanks between them, in printable ASCII: a JSON string is no place for any bytes. To be freed.
static char *joined(char *const *command)
{
	char *text = NULL, *visible = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	for (char *const *at = command; stream && *at; at++)
		(void)fprintf(stream, "%s%s", at == command ? "" : " ", *at);
	if (!stream || fclose(stream) == EOF || stravis(&visible, text, VIS_OCTAL | VIS_NL | VIS_TAB) == -1)
		visible = NULL;
	free(text);
	if (visible && strlen(visible) >= CLUSTERVALUE_COMMAND_MAX)
		visible[CLUSTERVALUE_COMMAND_MAX - 1] = '\0';
	return visible;
}

// OBJECT is given away; NULL: no memory.
static bool dump(json_t *object, struct etcd_bytes *bytes)
{
	*bytes = (struct etcd_bytes){ .bytes = object ? json_dumps(object, JSON_COMPACT) : NULL };
	if (bytes->bytes)
		bytes->length = strlen(bytes->bytes);
	json_decref(object);
	return bytes->bytes != NULL;
}

bool clustervalue_write(const struct clustervalue *value, struct etcd_bytes *bytes)
{
	char start[CLUSTERVALUE_START_MAX] = "", host[sizeof(((struct clusterholder *)NULL)->host) * 4];
	time_t now = time(NULL);
	struct tm time;
	char *command = joined(value->command);
	json_t *object, *name = json_string(value->host);

	if (gmtime_r(&now, &time))
		(void)strftime(start, sizeof(start), "%FT%TZ", &time);
	(void)strvis(host, value->host, VIS_OCTAL | VIS_NL | VIS_TAB);
	object = json_pack("{s:o, s:I, s:s, s:s}", "host", name ? name : json_string(host), "pid", (json_int_t)value->pid, "start", start, "command",
			   command ? command : "");
	free(command);
	return dump(object, bytes);
}

bool clustervalue_write_done(const struct etcd_bytes *value, struct etcd_bytes *done)
{
	json_t *object = json_loadb(value->bytes, value->length, 0, NULL);

	(void)json_object_set_new(object, "state", json_string(DONE));
	return dump(object, done);
}

static void copy(const json_t *object, const char *name, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));

	(void)strlcpy(to, text ? text : "", size);
}

struct clusterholder clustervalue_read(const struct etcd_bytes *bytes)
{
	struct clusterholder holder = { .pid = 0 };
	json_t *object = bytes->length ? json_loadb(bytes->bytes, bytes->length, 0, NULL) : NULL;
	json_int_t pid = json_integer_value(json_object_get(object, "pid"));
	const char *state = json_string_value(json_object_get(object, "state"));

	if (pid > 0 && pid <= INT32_MAX)
		holder.pid = (pid_t)pid;
	holder.done = state && strcmp(state, DONE) == 0;
	copy(object, "host", holder.host, sizeof(holder.host));
	copy(object, "start", holder.start, sizeof(holder.start));
	copy(object, "command", holder.command, sizeof(holder.command));
	json_decref(object);
	return holder;
}

char *clustervalue_name(const struct etcd_bytes *key, size_t prefix)
{
	const char *slash = key->length ? memrchr(key->bytes, '/', key->length) : NULL;
	size_t end = slash ? (size_t)(slash - key->bytes) : 0;

	return slash && end >= prefix ? strndup(key->bytes + prefix, end - prefix) : NULL;
}
