// SPDX-License-Identifier: MIT
#include "exclusivelockpath.h"

#include "config.h"
#include "lockname.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

// The path of this program, from before anybody could change the directory; empty: it could not be told, and why.
static char program[PATH_MAX];
static int program_error;

__attribute__((constructor)) static void find_program(void)
{
	bool script;

	if (lockname_of_program((const char *)getauxval(AT_EXECFN), NULL, program, &script) == -1) {
		program_error = errno;
		program[0] = '\0';
	}
}

const char *exclusivelockpath_text(const char *name)
{
	if (name && name[0])
		return name;
	errno = program_error;
	return program[0] ? program : NULL;
}

bool exclusivelockpath_options(const struct exclusivelock_options *given, struct exclusivelock_options *options)
{
	const char *bytes = (const char *)given;

	*options = (struct exclusivelock_options){ .size = sizeof(*options) };
	if (!given)
		return true;
	if (given->size < sizeof(*options)) {
		errno = EINVAL;
		return false;
	}
	for (size_t i = sizeof(*options); i < given->size; i++) {
		if (bytes[i] != 0) {
			errno = E2BIG;
			return false;
		}
	}
	*options = *given;
	return true;
}

bool exclusivelockpath_find(const char *name, const char *directory, char path[PATH_MAX], const char **why, bool *own)
{
	const struct lockname wanted = { .text = exclusivelockpath_text(name) };
	struct lockdir found;

	*why = NULL;
	if (!wanted.text)
		return false;
	if (!directory || !directory[0])
		directory = secure_getenv(CONFIG_PREFIX "DIR");
	if (directory && directory[0] && directory[0] != '/' && strcmp(directory, LOCKDIR_WORD) != 0) {
		errno = EINVAL;
		return false;
	}
	if (lockname_path(&wanted, directory && directory[0] ? directory : NULL, getauxval(AT_SECURE) ? NULL : environ, path, &found) == -1)
		return false;
	*why = found.why;
	*own = found.kind == LOCKDIR_OWN;
	errno = EPERM;
	return !found.why;
}
