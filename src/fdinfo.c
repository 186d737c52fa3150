// SPDX-License-Identifier: MIT
#include "fdinfo.h"

#include "descriptor.h"
#include "procfile.h"
#include "scratch.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PATH_SIZE 80
// What is read of one descriptor.
#define FDINFO_TEXT 512
// Between two looks at the clock.
#define FILES_BETWEEN 64

// The value behind NAME where LINE begins with it; NULL: it does not.
static const char *value_of(const char *line, const char *end, const char *name)
{
	size_t size = strlen(name);

	return (size_t)(end - line) >= size && memcmp(line, name, size) == 0 ? line + size : NULL;
}

// "0100000", octal, as open(2) has the flags.
static unsigned parse_octal(const char *at, const char *end)
{
	unsigned number = 0;

	for (; at < end && *at >= '0' && *at <= '7'; at++)
		number = number * 8 + (unsigned)(*at - '0');
	return number;
}

// "pos:	0\nflags:	0100000\nmnt_id:	28\nino:	5678\nlock:	1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF\n"
struct fdinfo fdinfo_parse(const char *text, size_t length)
{
	const char *end = text + length, *newline;
	struct fdinfo info = { .has_flock = false };

	for (const char *line = text; line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL; line = newline + 1) {
		const char *value;

		if ((value = value_of(line, newline, "flags:\t")) != NULL) {
			unsigned flags = parse_octal(value, newline);

			info.close_on_exec = (flags & O_CLOEXEC) != 0;
			info.read_only = (flags & O_ACCMODE) == O_RDONLY;
		}
		if (!info.has_flock && (value = value_of(line, newline, "lock:\t")) != NULL)
			info.has_flock = keepers_parse_flock_line(value, (size_t)(newline - value), &info.flock);
	}
	return info;
}

bool fdinfo_has_name(const char *text, size_t length, const char *path)
{
	static const char deleted[] = " (deleted)";
	const size_t size = sizeof(deleted) - 1;
	const char *name = text_basename(path) - 1;

	if (length > size && memcmp(text + length - size, deleted, size) == 0)
		length -= size;
	return length >= strlen(name) && memcmp(text + length - strlen(name), name, strlen(name)) == 0;
}

// What comes before the locks is short, and there is one flock of a descriptor at most.
bool fdinfo_has_flock(int descriptor)
{
	char path[PATH_SIZE], text[FDINFO_TEXT];
	struct text name = text_in(path, sizeof(path));
	ssize_t length;

	text_add(&name, "/proc/self/fdinfo/");
	text_number(&name, (uint64_t)descriptor);
	length = procfile_read(path, text, sizeof(text));
	if (length == -1)
		return flock(descriptor, LOCK_EX | LOCK_NB) == 0;
	return fdinfo_parse(text, (size_t)length).has_flock;
}

struct search {
	const struct mapped_file *file;
	pid_t pid;
	unsigned files;
	enum fdinfo_result result;
};

static const char *path_of(char path[PATH_SIZE], pid_t pid, const char *folder, pid_t descriptor)
{
	char process[PROCFILE_PATH];
	struct text text = text_in(path, PATH_SIZE);

	text_add(&text, procfile_path(process, pid, folder));
	text_number(&text, (uint64_t)descriptor);
	return path;
}

static void look_at(struct search *search, pid_t descriptor, char *text)
{
	char path[PATH_SIZE];
	ssize_t length = readlinkat(AT_FDCWD, path_of(path, search->pid, "/fd/", descriptor), text, SCRATCH_SIZE);
	struct fdinfo info;

	// Mostly it is another file, and that costs one call.
	if (length == -1 || !fdinfo_has_name(text, (size_t)length, search->file->path))
		return;
	length = procfile_read(path_of(path, search->pid, "/fdinfo/", descriptor), text, SCRATCH_SIZE);
	if (length == -1) {
		if (errno != ENOENT && errno != ESRCH)
			search->result = FDINFO_UNSEEN;
		return;
	}
	info = fdinfo_parse(text, (size_t)length);
	if (!info.has_flock || !keepers_is_of(&info.flock, search->file))
		return;
	if (info.close_on_exec)
		search->result = info.flock.pid == search->pid ? FDINFO_TAKEN : FDINFO_CLOSES;
	else
		search->result = info.read_only && descriptor >= DESCRIPTOR_HIGH ? FDINFO_HANDED_OVER : FDINFO_STAYS;
}

static bool visit_descriptor(void *context, pid_t descriptor)
{
	struct search *search = context;
	char *text = scratch_get();

	if (text)
		look_at(search, descriptor, text);
	scratch_free(text);
	if (search->result == FDINFO_WITHOUT && ++search->files % FILES_BETWEEN == 0 && budget_cuts(search->file->budget))
		search->result = FDINFO_UNSEEN;
	return search->result != FDINFO_WITHOUT;
}

enum fdinfo_result fdinfo_look(pid_t pid, const struct mapped_file *file)
{
	char path[PROCFILE_PATH];
	struct search search = { .file = file, .pid = pid, .result = FDINFO_WITHOUT };

	if (procfile_search(procfile_path(path, pid, "/fd"), 0, visit_descriptor, &search) == -1 && errno != ENOENT && errno != ESRCH)
		return FDINFO_UNSEEN;
	return search.result;
}
