// SPDX-License-Identifier: MIT
#include "lockdir.h"

#include "config.h"
#include "scratch.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM "/var/lock"
#define TEMPORARY "/tmp"
#define RUN "/run"
#define OWN_OF_ROOT RUN "/exlock"
#define OWN_OF_USER "/exlock-"
#define OWN_MODE 0700
#define MODE_OF_ALL 01777
#define OTHERS (S_IRWXG | S_IRWXO)

static bool is_directory(const char *path)
{
	struct stat status;

	return fstatat(AT_FDCWD, path, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

// Whether all users may make files at PATH, and nobody but root may take away what is another one's. In a user namespace root may have no
// number: then it is shown as the overflow user.
static bool is_of_root_for_all(const char *path, struct stat *status)
{
	return fstatat(AT_FDCWD, path, status, 0) == 0 && S_ISDIR(status->st_mode) && (status->st_mode & MODE_OF_ALL) == MODE_OF_ALL &&
	       (status->st_uid == 0 || user_is_unknown(status->st_uid));
}

// Why the directory at PATH, which may be missing, is not this user's own; NULL: it is.
static const char *find_fault(const char *path)
{
	struct stat status;

	if (fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == -1)
		return NULL;
	if (!S_ISDIR(status.st_mode))
		return "its directory is none: something else has that name";
	if (!user_is_same(status.st_uid, geteuid()))
		return "its directory is another user's: only root or that user can remove it";
	return (status.st_mode & OTHERS) ? "its directory is open to other users: chmod 700 closes it" : NULL;
}

static bool is_owned_by_root(const char *path)
{
	struct stat status;

	return fstatat(AT_FDCWD, path, &status, 0) == 0 && status.st_uid == 0;
}

// All processes of a user have to come to the same place. So it depends on nothing that differs between them, but on who they are: the root of
// a user namespace that sees the whole system's files (unshare -r) is the user who made it.
static void find_own(struct text *path, struct lockdir *found)
{
	const char *base = SYSTEM;
	uid_t user = geteuid();
	struct stat status;

	if (user == 0 && is_owned_by_root(RUN)) {
		text_add(path, OWN_OF_ROOT);
		found->why = find_fault(path->start);
		return;
	}
	if (!is_of_root_for_all(base, &status) && !is_of_root_for_all(base = TEMPORARY, &status))
		found->why = "neither " SYSTEM " nor " TEMPORARY " is a directory of root's with mode 1777";
	else if (status.st_uid != 0 && !user_outside(user, &user))
		found->why = "this user namespace does not tell which user this is";
	text_add(path, base);
	text_add(path, OWN_OF_USER);
	text_number(path, user);
	if (!found->why)
		found->why = find_fault(path->start);
}

// Appends DIRECTORY to the empty PATH as Python's os.path.abspath() has it: by the text alone, without ".", ".." and doubled slashes. The
// root is "". False: the current directory cannot be told.
static bool add_absolute(struct text *path, const char *directory)
{
	if (directory[0] != '/') {
		if (!getcwd(path->start, path->size) || path->start[0] != '/')
			return false;
		path->length = strlen(path->start);
		if (path->length == 1)
			path->start[path->length = 0] = '\0';
	}
	for (const char *at = directory + strspn(directory, "/"); *at; at += strspn(at, "/")) {
		size_t size = strcspn(at, "/");

		if (size == 2 && at[0] == '.' && at[1] == '.') {
			while (path->length > 0 && path->start[--path->length] != '/')
				;
			path->start[path->length] = '\0';
		} else if (size != 1 || at[0] != '.') {
			text_add(path, "/");
			text_bytes(path, at, size);
		}
		at += size;
	}
	return !path->cut;
}

// Makes a file in the directory PATH, as Python does it to see whether one can be made, and deletes it. PATH stays as it was.
static bool try_file(struct text *path)
{
	size_t length = path->length;
	int fd;

	text_add(path, "/.exlock-");
	text_number(path, (uint64_t)gettid());
	fd = path->cut ? -1 : openat(AT_FDCWD, path->start, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd != -1) {
		(void)close(fd);
		(void)unlink(path->start);
	}
	path->start[path->length = length] = '\0';
	return fd != -1;
}

// A file without a name is made under the same conditions, and needs not be deleted. Not all file systems have such files.
static bool is_usable(struct text *path)
{
	int fd = openat(AT_FDCWD, path->length > 0 ? path->start : "/", O_TMPFILE | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	if (fd == -1)
		return errno == EOPNOTSUPP && try_file(path);
	(void)close(fd);
	return true;
}

static int find_temporary(char *const *environment, struct text *path)
{
	static const char *const variables[] = { "TMPDIR", "TEMP", "TMP" }, *const places[] = { TEMPORARY, "/var/tmp", "/usr/tmp", "." };
	const size_t named = environment ? sizeof(variables) / sizeof(*variables) : 0;

	for (size_t i = 0; i < named + sizeof(places) / sizeof(*places); i++) {
		const char *directory = i < named ? config_get(environment, variables[i]) : places[i - named];

		*path = text_in(path->start, path->size);
		if (!directory || !add_absolute(path, directory))
			continue;
		if (is_usable(path))
			return 0;
		// That says nothing about the directory, and in the next one there may be another lock of that name.
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return -1;
	}
	errno = ENOENT;
	return -1;
}

int lockdir_find(const char *wanted, char *const *environment, struct text *path, struct lockdir *found)
{
	*found = (struct lockdir){ .kind = LOCKDIR_GIVEN };
	if (!wanted && !is_directory(SYSTEM)) {
		found->kind = LOCKDIR_TEMPORARY;
		return find_temporary(environment, path);
	}
	if (wanted && strcmp(wanted, LOCKDIR_WORD) == 0) {
		found->kind = LOCKDIR_OWN;
		find_own(path, found);
		return 0;
	}
	if (!wanted)
		found->kind = LOCKDIR_SYSTEM;
	text_add(path, wanted ? wanted : SYSTEM);
	return 0;
}

// The umask may take bits of the user's own away.
static bool make(const char *directory)
{
	return (mkdirat(AT_FDCWD, directory, OWN_MODE) == 0 && fchmodat(AT_FDCWD, directory, OWN_MODE, 0) == 0) || errno == EEXIST;
}

bool lockdir_make(const char *lock_path)
{
	char *own = scratch_get();
	struct lockdir found = { .kind = LOCKDIR_OWN };
	bool made = false;
	int error = errno;

	if (own) {
		struct text path = text_in(own, PATH_MAX);

		find_own(&path, &found);
		// Somebody else may make it first.
		if (!found.why && strncmp(lock_path, own, path.length) == 0 && text_basename(lock_path) == lock_path + path.length + 1) {
			made = make(own) && !find_fault(own);
			error = errno;
		}
	}
	scratch_free(own);
	errno = error;
	return made;
}

const char *lockdir_find_fault(const char *lock_path)
{
	char *directory = scratch_get();
	const char *why = "there is no memory to look at its directory";

	if (directory) {
		struct text path = text_in(directory, PATH_MAX);

		text_bytes(&path, lock_path, (size_t)(text_basename(lock_path) - 1 - lock_path));
		why = find_fault(directory);
	}
	scratch_free(directory);
	return why;
}
