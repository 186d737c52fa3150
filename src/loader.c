// SPDX-License-Identifier: MIT
#include "loader.h"

#include "pattern.h"
#include "text.h"

#include <stddef.h>
#include <string.h>

#define LOADERS "ld-linux*.so*:ld-musl-*.so*:ld-[0-9]*.so:ld.so*:ld64.so*"

bool loader_is(const char *path)
{
	// Every start asks, and the patterns cost some 2,000 instructions.
	return text_begins(text_basename(path), "ld") && pattern_selects(LOADERS, path);
}

static bool takes_value(const char *option)
{
	static const char *const options[] = { "--library-path", "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask", "--inhibit-rpath", "--audit",
		"--preload", "--argv0" };

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (strcmp(option, options[i]) == 0)
			return true;
	return false;
}

char *const *loader_program(char *const *arguments)
{
	for (; *arguments && strncmp(*arguments, "--", 2) == 0; arguments++)
		if (takes_value(*arguments) && arguments[1])
			arguments++;
	return *arguments ? arguments : NULL;
}
