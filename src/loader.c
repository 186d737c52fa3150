// SPDX-License-Identifier: MIT
#include "loader.h"

#include "pattern.h"
#include "procfile.h"
#include "text.h"

#include <stddef.h>
#include <string.h>

// The loader's name, its options with their values, and the program.
#define ARGUMENTS_MAX 40
// musl's loader and its libc are one file.
#define LOADERS "ld-linux*.so*:ld-musl-*.so*:ld-[0-9]*.so:ld.so*:ld64.so*:libc.so:libc.musl-*.so*"

bool loader_is(const char *path)
{
	const char *name = text_basename(path);

	// Every start asks, and the patterns cost some 2,000 instructions.
	return (text_begins(name, "ld") || text_begins(name, "libc.")) && pattern_selects(LOADERS, path);
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

// glibc's loader knows no "--" and no "--OPTION=VALUE", musl's knows both. What neither knows ends them with an error. A name without a
// slash is none of a file: glibc looks for it where it looks for libraries.
char *const *loader_program(char *const *arguments)
{
	for (; *arguments && text_begins(*arguments, "--"); arguments++) {
		if (strcmp(*arguments, "--") == 0) {
			arguments++;
			break;
		}
		if (takes_value(*arguments) && arguments[1])
			arguments++;
	}
	return *arguments && strchr(*arguments, '/') ? arguments : NULL;
}

const char *loader_own_program(char memory[SCRATCH_SIZE])
{
	ssize_t size = procfile_read("/proc/self/cmdline", memory, SCRATCH_SIZE);
	char *arguments[ARGUMENTS_MAX + 1], *at = memory, *end = memory + (size > 0 ? size : 0);
	char *const *program;
	int count = 0;

	// Only whole ones count.
	for (char *next; count < ARGUMENTS_MAX && (next = memchr(at, '\0', (size_t)(end - at))) != NULL; at = next + 1)
		arguments[count++] = at;
	arguments[count] = NULL;
	program = count > 0 ? loader_program(arguments + 1) : NULL;
	return program ? *program : NULL;
}
