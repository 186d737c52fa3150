// SPDX-License-Identifier: MIT
#include "children.h"

#include "procfile.h"
#include "scratch.h"
#include "text.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

struct search {
	pid_t parent;
	bool (*visit)(void *context, pid_t pid);
	void *context;
	bool listed;		// the kernel lists children
	bool done;
};

// "12 345 6789 "
static void visit_listed(struct search *search, int fd, char *text)
{
	uint64_t number = 0;
	ssize_t length;

	while (!search->done && (length = read(fd, text, SCRATCH_SIZE)) > 0)
		for (ssize_t i = 0; !search->done && i < length; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				number = number * 10 + (uint64_t)(text[i] - '0');
				continue;
			}
			search->done = number > 0 && search->visit(search->context, (pid_t)number);
			number = 0;
		}
}

// Apart, so that the path is not on the stack of what follows.
__attribute__((noinline)) static int open_children(pid_t parent, pid_t thread)
{
	char path[PROCFILE_PATH];
	struct text name = text_in(path, sizeof(path));

	text_add(&name, "/proc/");
	text_number(&name, (uint64_t)parent);
	text_add(&name, "/task/");
	text_number(&name, (uint64_t)thread);
	text_add(&name, "/children");
	return openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

static bool visit_thread(void *context, pid_t thread)
{
	struct search *search = context;
	int fd = open_children(search->parent, thread);
	char *text;

	if (fd == -1)
		return false;
	search->listed = true;
	text = scratch_get();
	if (text)
		visit_listed(search, fd, text);
	scratch_free(text);
	(void)close(fd);
	return search->done;
}

bool children_visit(pid_t parent, bool (*visit)(void *context, pid_t pid), void *context)
{
	struct search search = { .parent = parent, .visit = visit, .context = context };

	(void)procfile_search_threads(parent, visit_thread, &search);
	return search.listed;
}
