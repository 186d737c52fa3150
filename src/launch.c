// SPDX-License-Identifier: MIT
#include "launch.h"

#include "complain.h"
#include "descent.h"
#include "exlock.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void *launch_take(struct launch *launch, size_t size)
{
	void *memory = environment_take(&launch->room, size);

	if (!memory)
		FAIL(report_errno(ENOMEM), ": nothing is started");
	return memory;
}

char *launch_place(struct launch *launch)
{
	return launch->room.size >= PATH_MAX ? launch->room.start : launch_take(launch, PATH_MAX);
}

void launch_keep(struct launch *launch, const char *path)
{
	if (path == launch->room.start)
		(void)launch_take(launch, strlen(path) + 1);
}

char *launch_join(struct launch *launch, const char *const *parts)
{
	struct text text;
	size_t size = 1;

	for (const char *const *part = parts; *part; part++)
		size += strlen(*part);
	text = text_in(launch_take(launch, size), size);
	for (; *parts; parts++)
		text_add(&text, *parts);
	return text.start;
}

void launch_set(struct launch *launch, const struct setting *settings, int count)
{
	char **environment = environment_apply(environ, settings, count, &launch->room);

	if (!environment)
		FAIL(report_errno(ENOMEM), ": nothing is started");
	environ = environment;
}

char *launch_preload(struct launch *launch)
{
	const char *given = config_get(environ, "LD_PRELOAD");
	char *list = LAUNCH_JOIN(launch, given ? given : "");

	environment_strip_entries(list, text_basename(launch->shim));
	return list;
}

// The keeper of a cluster's lock takes the flock again, and hands it over itself.
void launch_take_lock(const struct launch *launch)
{
	exlock_take(launch->outer, !launch->options.close && !launch->options.cluster);
}

// The marks that this process inherited may be gone: by its ancestors.
bool launch_is_descendant(const struct launch *launch)
{
	return descent_by_record(launch->lock_path);
}
