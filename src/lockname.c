// SPDX-License-Identifier: MIT
#include "lockname.h"

#include "canonical.h"
#include "digest.h"
#include "loader.h"
#include "scratch.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_PREFIX "py_exclusivelock_"
#define DELETED " (deleted)"
// How many scripts may interpret one another: the kernel's limit, see execve(2).
#define INTERPRETERS 5

// A backslash before each space and backslash tells "a b" from "a" "b".
static void walk_argument(const char *at, void (*piece)(void *context, const char *bytes, size_t length), void *context)
{
	for (;;) {
		size_t length = strcspn(at, " \\");

		piece(context, at, length);
		at += length;
		if (!*at)
			return;
		piece(context, "\\", 1);
		piece(context, at++, 1);
	}
}

void lockname_walk(const struct lockname *name, void (*piece)(void *context, const char *bytes, size_t length),
		   void *context)
{
	piece(context, name->text, strlen(name->text));
	for (char *const *argument = name->arguments; argument && *argument; argument++) {
		piece(context, " ", 1);
		walk_argument(*argument, piece, context);
	}
}

static bool same_file(const char *path, const struct stat *other)
{
	struct stat status;

	return fstatat(AT_FDCWD, path, &status, 0) == 0 && status.st_dev == other->st_dev &&
	       status.st_ino == other->st_ino;
}

static bool ends_in(const char *path, size_t length, const char *ending)
{
	size_t size = strlen(ending);

	return length > size && strcmp(path + length - size, ending) == 0;
}

// The kernel marks the path of a program whose file was removed or replaced while it ran. A file may really have
// that ending, though.
static void drop_deleted(char *path, size_t length)
{
	struct stat exe;

	if (ends_in(path, length, DELETED) && fstatat(AT_FDCWD, "/proc/self/exe", &exe, 0) == 0 && !same_file(path, &exe))
		path[length - (sizeof(DELETED) - 1)] = '\0';
}

// For a script the kernel puts its path behind the interpreter's and one option; that interpreter may be a script, and so on.
static bool may_be_script(const char *execfn, char *const *argv)
{
	for (int i = 0; argv && argv[i] && i <= 2 * INTERPRETERS; i++)
		if (i > 0 && strcmp(argv[i], execfn) == 0)
			return true;
	return !argv;
}

// Whether the kernel was asked for another file than the one it loaded.
static bool is_other_file(const char *execfn)
{
	struct stat exe, named;

	return fstatat(AT_FDCWD, "/proc/self/exe", &exe, 0) == 0 && fstatat(AT_FDCWD, execfn, &named, 0) == 0 &&
	       (named.st_dev != exe.st_dev || named.st_ino != exe.st_ino);
}

// The program that is started through the loader at PATH, which stays where none is named. glibc's loader puts the program's path into the
// vector as AT_EXECFN (elf/rtld.c, dl_main()); musl's leaves its own there.
static int path_of_loaded(const char *execfn, char path[PATH_MAX])
{
	char *memory;
	const char *program;
	int result;

	if (strchr(execfn, '/') && is_other_file(execfn))
		return canonical_path(execfn, path);
	memory = scratch_get();
	program = memory ? loader_own_program(memory) : NULL;
	result = program ? canonical_path(program, path) : 0;
	scratch_free(memory);
	return result;
}

int lockname_of_program(const char *execfn, char *const *argv, char path[PATH_MAX], bool *script)
{
	ssize_t length = readlinkat(AT_FDCWD, "/proc/self/exe", path, PATH_MAX - 1);

	*script = true;
	// "(unreachable)/..." is what a program outside our root looks like.
	if (length <= 0 || length == PATH_MAX - 1 || path[0] != '/')
		return execfn ? canonical_path(execfn, path) : (errno = ENOENT, -1);
	path[length] = '\0';
	drop_deleted(path, (size_t)length);
	*script = false;
	if (execfn && loader_is(path))
		return path_of_loaded(execfn, path);
	*script = execfn && strcmp(execfn, path) != 0 && may_be_script(execfn, argv) && is_other_file(execfn);
	return *script ? canonical_path(execfn, path) : 0;
}

char *const *lockname_arguments(char *const *argv, const char *execfn)
{
	if (!argv[0])
		return argv;
	// "INTERPRETER [OPTION] SCRIPT ARG..."
	for (int i = 1; execfn && i <= 2 && argv[i]; i++)
		if (strcmp(argv[i], execfn) == 0)
			return argv + i + 1;
	return argv + 1;
}

static void quote_piece(void *context, const char *bytes, size_t length)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~";
	static const char hex[] = "0123456789ABCDEF";
	struct text *text = context;

	for (size_t i = 0; i < length && !text->cut; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		char escape[] = { '%', hex[byte >> 4], hex[byte & 15] };

		if (byte == ' ')
			text_bytes(text, "+", 1);
		else if (memchr(plain, byte, sizeof(plain) - 1))
			text_bytes(text, bytes + i, 1);
		else
			text_bytes(text, escape, sizeof(escape));
	}
}

static void digest_piece(void *context, const char *bytes, size_t length)
{
	digest_add(context, bytes, length);
}

// FILE gets the name of the file in its directory; SUFFIX is ".lock" or ".pid".
static void file_name(const struct lockname *name, const char *suffix, char file[NAME_MAX + 1])
{
	struct text text = text_in(file, NAME_MAX + 1 - strlen(suffix));

	text_add(&text, FILE_PREFIX);
	lockname_walk(name, quote_piece, &text);
	if (text.cut) {
		struct digest digest;

		digest_start(&digest);
		lockname_walk(name, digest_piece, &digest);
		digest_end(&digest, file + text.size - DIGEST_HEX);
	}
	text.size = NAME_MAX + 1;
	text_add(&text, suffix);
}

int lockname_path(const struct lockname *name, const char *directory, char *const *environment, char path[PATH_MAX], struct lockdir *found)
{
	struct text text = text_in(path, PATH_MAX);
	char file[NAME_MAX + 1];

	if (lockdir_find(directory, environment, &text, found) == -1)
		return -1;
	file_name(name, found->kind == LOCKDIR_TEMPORARY ? ".pid" : ".lock", file);
	text_add(&text, "/");
	text_add(&text, file);
	if (text.cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

// Where the quoted name ends in FILE of LENGTH: before its suffix and, if the name was too long (*CUT), before the digest.
static const char *end_of_name(const char *file, size_t length, bool *cut)
{
	static const char *const suffixes[] = { ".lock", ".pid" };
	const char *end = NULL;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes) && !end; i++) {
		size_t ending = strlen(suffixes[i]);

		if (length >= ending && strcmp(file + length - ending, suffixes[i]) == 0)
			end = file + length - ending;
	}
	*cut = end && length == NAME_MAX && strspn(end - (DIGEST_HEX - 1), "0123456789abcdef") >= DIGEST_HEX - 1;
	return *cut ? end - (DIGEST_HEX - 1) : end;
}

ssize_t lockname_of_file(const char *file, char name[NAME_MAX + 1], bool *cut)
{
	size_t length = strlen(file), written = 0;
	const char *at, *end = length <= NAME_MAX ? end_of_name(file, length, cut) : NULL;

	if (!end || !text_begins(file, FILE_PREFIX))
		return -1;
	for (at = file + sizeof(FILE_PREFIX) - 1; at < end; at++) {
		int high = *at == '%' && end - at > 2 ? hex_value(at[1]) : -1;
		int low = high >= 0 ? hex_value(at[2]) : -1;

		if (*at != '%') {
			name[written++] = (char)(*at == '+' ? ' ' : *at);
			continue;
		}
		// The digest may have cut an escape in two.
		if (low < 0 && !(*cut && end - at <= 2))
			return -1;
		if (low < 0)
			break;
		name[written++] = (char)(high * 16 + low);
		at += 2;
	}
	name[written] = '\0';
	return (ssize_t)written;
}
