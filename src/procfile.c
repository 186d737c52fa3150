// SPDX-License-Identifier: MIT
#include "procfile.h"

#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

// The columns of /proc/PID/maps before the path.
#define COLUMNS_MAX 128
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

int procfile_lines(const char *path, bool (*visit)(void *context, const char *line, size_t length), void *context)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	char buffer[PATH_MAX + COLUMNS_MAX];
	size_t used = 0;
	bool done = false, skipping = false;
	ssize_t got;

	if (fd == -1)
		return -1;
	while (!done && (got = read(fd, buffer + used, sizeof(buffer) - used)) > 0) {
		char *line = buffer, *newline;

		used += (size_t)got;
		while (!done && (newline = memchr(line, '\n', used - (size_t)(line - buffer))) != NULL) {
			done = !skipping && visit(context, line, (size_t)(newline - line));
			skipping = false;
			line = newline + 1;
		}
		used -= (size_t)(line - buffer);
		memmove(buffer, line, used);
		if (!done && used == sizeof(buffer)) {
			done = !skipping && visit(context, buffer, used);
			skipping = true;
			used = 0;
		}
	}
	(void)close(fd);
	return 0;
}

void procfile_list(const char *folder, void (*visit)(void *context, pid_t number), void *context)
{
	int fd = openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buffer[4096];
	ssize_t got;

	if (fd == -1)
		return;
	while ((got = getdents64(fd, buffer, sizeof(buffer))) > 0) {
		const struct dirent64 *entry;

		for (ssize_t at = 0; at < got; at += entry->d_reclen) {
			uint64_t number;
			const char *name;

			entry = (const struct dirent64 *)(buffer + at);
			name = entry->d_name;
			if (text_parse_number(&name, name + strlen(name), &number) && *name == '\0')
				visit(context, (pid_t)number);
		}
	}
	(void)close(fd);
}

int procfile_search(const char *folder, pid_t first, bool (*visit)(void *context, pid_t number), void *context)
{
	int fd = openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buffer[1024];
	bool done = false;
	ssize_t got;

	if (fd == -1)
		return -1;
	if (first > 0)
		(void)lseek(fd, (off_t)first + FIRST_PLACE, SEEK_SET);
	while (!done && (got = getdents64(fd, buffer, sizeof(buffer))) > 0) {
		const struct dirent64 *entry;

		for (ssize_t at = 0; !done && at < got; at += entry->d_reclen) {
			uint64_t number;
			const char *name;

			entry = (const struct dirent64 *)(buffer + at);
			name = entry->d_name;
			done = text_parse_number(&name, name + strlen(name), &number) && *name == '\0' && visit(context, (pid_t)number);
		}
	}
	(void)close(fd);
	return 0;
}
