// SPDX-License-Identifier: MIT
#include "family.h"

#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void add(struct family *family, const struct relative *one)
{
	if (family->count == family->room) {
		size_t room = family->room ? family->room * 2 : 64;
		struct relative *larger = realloc(family->members, room * sizeof(*larger));

		if (!larger) {
			family->partial = true;
			return;
		}
		family->members = larger;
		family->room = room;
	}
	family->members[family->count++] = *one;
}

void family_free(struct family *family)
{
	free(family->members);
}

const struct relative *family_find(const struct family *family, pid_t pid)
{
	for (size_t i = 0; i < family->count; i++)
		if (family->members[i].pid == pid)
			return &family->members[i];
	return NULL;
}

bool family_has(const struct family *family, const struct relative *one)
{
	const struct relative *found = family_find(family, one->pid);

	return found && found->start == one->start;
}

static void read_one(struct family *all, pid_t pid)
{
	struct process_stat process;

	if (process_read_stat(pid, &process) == 0)
		add(all, &(struct relative){ .pid = process.pid, .parent = process.parent, .start = process.start,
					     .ended = process_has_ended(&process) });
	else if (errno != ENOENT && errno != ESRCH && errno != EACCES && errno != EPERM)
		all->partial = true;
}

static void read_all(struct family *all)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;

	if (!proc) {
		// Without a /proc there never will be more to see.
		all->partial = errno != ENOENT;
		return;
	}
	while (errno = 0, entry = readdir(proc)) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0)
			read_one(all, pid);
	}
	if (errno)
		all->partial = true;
	(void)closedir(proc);
}

// A parent is not always found before its child.
static struct family descendants_of(const struct family *all, const struct family *strangers)
{
	struct family found = { .partial = all->partial };
	pid_t self = getpid();
	size_t before;

	do {
		before = found.count;
		for (size_t i = 0; i < all->count; i++) {
			const struct relative *one = &all->members[i];

			if ((one->parent == self || family_find(&found, one->parent)) && !family_find(&found, one->pid) &&
			    !family_has(strangers, one))
				add(&found, one);
		}
	} while (found.count > before);
	return found;
}

struct family family_look(const struct family *strangers)
{
	struct family all = { .count = 0 };
	struct family found;

	read_all(&all);
	found = descendants_of(&all, strangers);
	family_free(&all);
	return found;
}
