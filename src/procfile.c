// SPDX-License-Identifier: MIT
#include "procfile.h"

#include "scratch.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

// What the numbers in /proc are shifted by to be places in that folder: TGID_OFFSET in the kernel's fs/proc/base.c, 258 since
// Linux 3.17, and a little less before.
#define FIRST_PLACE 256

const char *procfile_path(char path[PROCFILE_PATH], pid_t pid, const char *name)
{
	struct text text = text_in(path, PROCFILE_PATH);

	text_add(&text, "/proc/");
	if (pid == 0)
		text_add(&text, "self");
	else
		text_number(&text, (uint64_t)pid);
	text_add(&text, name);
	return path;
}

ssize_t procfile_read(const char *path, char *buffer, size_t size)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t length;
	int error;

	if (fd == -1)
		return -1;
	length = read(fd, buffer, size);
	error = errno;
	(void)close(fd);
	errno = error;
	return length;
}

static void read_parts(int fd, char *buffer, char end, bool (*visit)(void *context, const char *part, size_t length), void *context)
{
	size_t used = 0;
	bool done = false, skipping = false;
	ssize_t got;

	while (!done && (got = read(fd, buffer + used, SCRATCH_SIZE - used)) > 0) {
		char *part = buffer, *behind;

		used += (size_t)got;
		while (!done && (behind = memchr(part, end, used - (size_t)(part - buffer))) != NULL) {
			done = !skipping && visit(context, part, (size_t)(behind - part));
			skipping = false;
			part = behind + 1;
		}
		used -= (size_t)(part - buffer);
		memmove(buffer, part, used);
		if (!done && used == SCRATCH_SIZE) {
			done = !skipping && visit(context, buffer, used);
			skipping = true;
			used = 0;
		}
	}
}

static int visit_parts(const char *path, char end, bool (*visit)(void *context, const char *part, size_t length), void *context)
{
	char *buffer = scratch_get();
	int fd = buffer ? openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd != -1) {
		read_parts(fd, buffer, end, visit, context);
		(void)close(fd);
	}
	scratch_free(buffer);
	return fd == -1 ? -1 : 0;
}

int procfile_lines(const char *path, bool (*visit)(void *context, const char *line, size_t length), void *context)
{
	return visit_parts(path, '\n', visit, context);
}

int procfile_strings(const char *path, bool (*visit)(void *context, const char *string, size_t length), void *context)
{
	return visit_parts(path, '\0', visit, context);
}

static void list_numbers(int fd, char *buffer, bool (*visit)(void *context, pid_t number), void *context)
{
	bool done = false;
	ssize_t got;

	while (!done && (got = getdents64(fd, buffer, SCRATCH_SIZE)) > 0) {
		const struct dirent64 *entry;

		for (ssize_t at = 0; !done && at < got; at += entry->d_reclen) {
			uint64_t number;
			const char *name;

			entry = (const struct dirent64 *)(buffer + at);
			name = entry->d_name;
			done = text_parse_number(&name, name + strlen(name), &number) && *name == '\0' && visit(context, (pid_t)number);
		}
	}
}

static int open_folder(const char *folder)
{
	return openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// Apart, so that the path is not on the stack of what follows.
__attribute__((noinline)) static int open_threads(pid_t pid)
{
	char path[PROCFILE_PATH];

	return open_folder(procfile_path(path, pid, "/task"));
}

// FD is closed, if it is open.
static int search(int fd, pid_t first, bool (*visit)(void *context, pid_t number), void *context)
{
	char *buffer = fd == -1 ? NULL : scratch_get();

	if (buffer && first > 0)
		(void)lseek(fd, (off_t)first + FIRST_PLACE, SEEK_SET);
	if (buffer)
		list_numbers(fd, buffer, visit, context);
	if (fd != -1)
		(void)close(fd);
	scratch_free(buffer);
	return buffer ? 0 : -1;
}

int procfile_search(const char *folder, pid_t first, bool (*visit)(void *context, pid_t number), void *context)
{
	return search(open_folder(folder), first, visit, context);
}

int procfile_search_threads(pid_t pid, bool (*visit)(void *context, pid_t thread), void *context)
{
	return search(open_threads(pid), 0, visit, context);
}
