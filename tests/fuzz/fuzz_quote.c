// SPDX-License-Identifier: MIT
// From a lock's name to its path, against Python's quote_plus as its documentation has it: in the input are a directory, the
// name, and the arguments that are part of it.
#include "../helpers/words.h"
#include "fuzz.h"
#include "lockname.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <sys/stat.h>

#define FILE_NAME_MAX 255

int __wrap_fstatat(int folder, const char *path, struct stat *status, int flags);

int __wrap_fstatat(int folder, const char *path, struct stat *status, int flags)
{
	CHECK(folder == AT_FDCWD && flags == 0 && strcmp(path, "/var/lock") == 0);
	memset(status, 0, sizeof(*status));
	status->st_mode = S_IFDIR;
	return 0;
}

// All of the name in one piece. To be freed.
static char *join(const struct lockname *name)
{
	size_t size = strlen(name->text) + 1;	// each byte may be escaped
	char *whole, *at;

	for (char *const *argument = name->arguments; argument && *argument; argument++)
		size += 1 + 2 * strlen(*argument);
	whole = malloc(size);
	CHECK(whole);
	at = stpcpy(whole, name->text);
	for (char *const *argument = name->arguments; argument && *argument; argument++) {
		*at++ = ' ';
		for (const char *byte = *argument; *byte; byte++) {
			if (*byte == ' ' || *byte == '\\')
				*at++ = '\\';
			*at++ = *byte;
		}
	}
	*at = '\0';
	return whole;
}

// The file's name. To be freed.
static char *model(const struct lockname *name, const char *suffix)
{
	char *whole = join(name), *file = malloc(strlen(whole) * 3 + 100);
	char *at = file;

	CHECK(file);
	at = stpcpy(at, LOCK_PREFIX);
	for (const char *byte = whole; *byte; byte++)
		if (*byte == ' ')
			at = stpcpy(at, "+");
		else if ((*byte & 0x80) == 0 && (isalnum(*byte) || strchr("_.-~", *byte)))
			at += sprintf(at, "%c", *byte);
		else
			at += sprintf(at, "%%%02X", (unsigned char)*byte);
	if ((size_t)(at - file) + strlen(suffix) > FILE_NAME_MAX) {
		at = file + FILE_NAME_MAX - strlen(suffix) - SHA256_DIGEST_STRING_LENGTH + 1;
		(void)SHA256Data((const uint8_t *)whole, strlen(whole), at);
		at += strlen(at);
	}
	(void)strcpy(at, suffix);
	free(whole);
	return file;
}

static void check_path(const struct lockname *name, const char *directory)
{
	const char *expected_directory = directory ? directory : "/var/lock";
	char *file = model(name, ".lock");
	struct lockdir found;
	char *path = malloc(PATH_MAX);
	size_t length = strlen(expected_directory);

	CHECK(path && strlen(file) <= FILE_NAME_MAX);
	errno = 0;
	if (lockname_path(name, directory, NULL, path, &found) == 0) {
		CHECK(strncmp(path, expected_directory, length) == 0 && path[length] == '/');
		CHECK(strcmp(path + length + 1, file) == 0);
		CHECK(strchr(path + length + 1, '/') == NULL);
	} else {
		CHECK(errno == ENAMETOOLONG && length + 1 + strlen(file) >= PATH_MAX);
	}
	free(path);
	free(file);
}

// A directory of so many bytes; shorter in the input, and up to beyond what a path has room for.
static char *make_directory(struct input *input)
{
	size_t length = (size_t)input_number(input, 2) % (PATH_MAX + 10);
	char *directory = malloc(length + 2);

	CHECK(directory);
	memset(directory, 'd', length + 1);
	directory[0] = '/';
	directory[length + 1] = '\0';
	return directory;
}

// What follows the program's name, or a script's, and nothing else.
static void check_arguments(char *const *argv, const char *execfn, int count)
{
	char *const *arguments = lockname_arguments(argv, execfn);
	long skipped = arguments - argv;

	CHECK(skipped >= 0 && skipped <= count && skipped <= 3);
	if (count == 0)
		CHECK(skipped == 0);
	else if (skipped > 1)
		CHECK(execfn && strcmp(argv[skipped - 1], execfn) == 0);
	else
		CHECK(skipped == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	uint8_t choice = input_byte(&input);
	char *directory = make_directory(&input);
	char *text = input_string(&input);
	char **arguments = input_strings(&input);
	struct lockname name = { text, choice & 1 ? arguments : NULL };
	int count = 0;

	check_path(&name, choice & 4 ? directory : NULL);
	while (arguments[count])
		count++;
	check_arguments(arguments, NULL, count);
	check_arguments(arguments, text, count);
	if (count > 0)
		check_arguments(arguments, arguments[count - 1], count);
	input_free(arguments);
	free(text);
	free(directory);
	return 0;
}
