// SPDX-License-Identifier: MIT
#include "canonical.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

// As many as the kernel follows.
#define LINKS_MAX 40

// Puts the LENGTH bytes of the link's target before what remains to be walked.
static int prepend(char rest[PATH_MAX], const char *at, const char *target, size_t length)
{
	size_t remaining = strlen(at);

	if (length + 1 + remaining >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memmove(rest + length + 1, at, remaining + 1);
	memcpy(rest, target, length);
	rest[length] = '/';
	return 0;
}

static void drop_component(char *resolved, size_t *length)
{
	while (*length > 0 && resolved[--*length] != '/')
		;
	resolved[*length] = '\0';
}

static int append(char resolved[PATH_MAX], size_t *length, const char *component, size_t size)
{
	if (*length + 1 + size >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	resolved[(*length)++] = '/';
	memcpy(resolved + *length, component, size);
	*length += size;
	resolved[*length] = '\0';
	return 0;
}

// RESOLVED is "" for the root, else without a final slash.
static int walk(char rest[PATH_MAX], char target[PATH_MAX], char resolved[PATH_MAX])
{
	size_t length = strlen(resolved);
	int links = 0;

	for (const char *at = rest;;) {
		const char *component = at += strspn(at, "/");
		size_t size = strcspn(at, "/");
		ssize_t target_length;

		if (size == 0)
			break;
		at += size;
		if (size == 1 && component[0] == '.')
			continue;
		if (size == 2 && component[0] == '.' && component[1] == '.') {
			drop_component(resolved, &length);
			continue;
		}
		if (append(resolved, &length, component, size) == -1)
			return -1;
		target_length = readlinkat(AT_FDCWD, resolved, target, PATH_MAX);
		if (target_length == -1 && errno != EINVAL && (errno != ENOENT || at[strspn(at, "/")] != '\0'))
			return -1;
		if (target_length <= 0)
			continue;
		if (++links > LINKS_MAX) {
			errno = ELOOP;
			return -1;
		}
		drop_component(resolved, &length);
		if (target[0] == '/')
			resolved[length = 0] = '\0';
		if (prepend(rest, at, target, (size_t)target_length) == -1)
			return -1;
		at = rest;
	}
	if (length == 0)
		memcpy(resolved, "/", sizeof("/"));
	return 0;
}

// RESOLVED gets the directory that a relative path begins in, as walk() has it.
static int begin(const char *path, char resolved[PATH_MAX])
{
	resolved[0] = '\0';
	if (path[0] == '/')
		return 0;
	if (!getcwd(resolved, PATH_MAX))
		return -1;
	if (resolved[0] != '/') {	// "(unreachable)/...": the directory is outside our root
		errno = ENOENT;
		return -1;
	}
	if (resolved[1] == '\0')
		resolved[0] = '\0';
	return 0;
}

int canonical_path(const char *path, char resolved[PATH_MAX])
{
	size_t length = strlen(path);
	char *rest;
	int result;

	if (length >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (begin(path, resolved) == -1 || (rest = scratch_get()) == NULL)
		return -1;
	memcpy(rest, path, length + 1);
	result = walk(rest, rest + PATH_MAX, resolved);
	scratch_free(rest);
	return result;
}
