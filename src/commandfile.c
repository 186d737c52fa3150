// SPDX-License-Identifier: MIT
#include "commandfile.h"

#include "complain.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The shell's own.
#define DEFAULT_SEARCH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool may_run(const char *file)
{
	return faccessat(AT_FDCWD, file, X_OK, 0) == 0;
}

static bool is_file(const char *path)
{
	struct stat status;

	return fstatat(AT_FDCWD, path, &status, 0) == 0 && S_ISREG(status.st_mode);
}

// Leaves the first file that can be run in CANDIDATE, or else one that is there, or nothing. Returns whether it can be run.
static bool search_path(const char *command, const char *search, char candidate[PATH_MAX])
{
	char found[PATH_MAX];

	found[0] = '\0';
	for (const char *end; search; search = *end ? end + 1 : NULL) {
		struct text text = text_in(candidate, PATH_MAX);

		end = search + strcspn(search, ":");
		text_bytes(&text, search, (size_t)(end - search));
		text_add(&text, end > search ? "/" : "./");
		text_add(&text, command);
		if (text.cut || !is_file(candidate))
			continue;
		if (may_run(candidate))
			return true;
		memcpy(found, candidate, text.length + 1);
	}
	memcpy(candidate, found, strlen(found) + 1);
	return false;
}

const char *commandfile_find(const char *command, const char *search, char candidate[PATH_MAX])
{
	const char *file = command;
	struct stat status;

	if (!command[0])
		FAIL_WITH(CONFIG_EXIT_NOT_FOUND, "'': not found");
	if (!strchr(command, '/')) {
		if (search_path(command, search ? search : DEFAULT_SEARCH, candidate))
			return candidate;
		if (!candidate[0])
			FAIL_WITH(CONFIG_EXIT_NOT_FOUND, command, ": not found");
		file = candidate;
	}
	if (fstatat(AT_FDCWD, file, &status, 0) == -1) {
		if (errno == ENOENT)
			FAIL_WITH(CONFIG_EXIT_NOT_FOUND, command, ": not found");
		FAIL_WITH(CONFIG_EXIT_CANNOT_RUN, command, ": cannot be run: ", report_errno(errno));
	}
	if (S_ISDIR(status.st_mode))
		FAIL_WITH(CONFIG_EXIT_CANNOT_RUN, command, ": is a directory");
	if (!may_run(file))
		FAIL_WITH(CONFIG_EXIT_CANNOT_RUN, command, ": cannot be run: permission denied");
	return file;
}
