// SPDX-License-Identifier: MIT
#include "successor.h"

#include "holder.h"
#include "pause.h"
#include "process.h"
#include "procfile.h"
#include "relatives.h"
#include "scratch.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

// The folder in which an AppImage's runtime mounts it, up to what differs.
#define MOUNT "/.mount_"
#define MOUNT_LENGTH (sizeof(MOUNT) - 1)
// What the kernel adds to the path of an executable that was replaced.
#define DELETED " (deleted)"
#define DELETED_LENGTH (sizeof(DELETED) - 1)
// How much of two command lines is compared at a time.
#define PIECE 2048
// A child has called exec by then, or does not call it.
#define YOUNG_TICKS 25
#define LOOK_AGAIN_US 500
// How often a copy may be gone, or another program, when it is to be recorded; or the record cannot be written at all.
#define LOOKS_FAILED 5

_Static_assert(SCRATCH_SIZE >= PATH_MAX + 2 * PIECE && SCRATCH_SIZE >= 2 * PATH_MAX, "room for two paths, or one and two pieces");

// Where in a text the comparison is: so many of the last bytes were MOUNT's first ones.
struct comparison {
	size_t matched;
};

static bool same_piece(struct comparison *at, const char *one, const char *other, size_t length)
{
	for (; length > 0; one++, other++, length--) {
		bool varies = at->matched == MOUNT_LENGTH && *one != '/' && *one != '\0' && *other != '/' && *other != '\0';

		if (varies)
			continue;
		if (*one != *other)
			return false;
		at->matched = at->matched < MOUNT_LENGTH && *one == MOUNT[at->matched] ? at->matched + 1 : *one == '/';
	}
	return true;
}

bool successor_same_text(const char *one, const char *other, size_t length)
{
	return same_piece(&(struct comparison){ 0 }, one, other, length);
}

bool successor_runs_next(const char *own, size_t own_length, const char *next, size_t length)
{
	const char *end = memchr(own, '\0', own_length);
	// A program without arguments is known by its name alone.
	size_t skipped = end && end + 1 < own + own_length ? (size_t)(end + 1 - own) : 0;
	size_t arguments = own_length - skipped;

	if (length == 0)
		return true;
	return length > arguments && next[length - arguments - 1] == '\0' && memcmp(next + length - arguments, own + skipped, arguments) == 0;
}

// Reads up to SIZE bytes, less at the end only. Returns how many, or -1.
static ssize_t read_piece(int fd, char *buffer, size_t size)
{
	size_t used = 0;
	ssize_t got = 0;

	while (used < size && (got = read(fd, buffer + used, size - used)) > 0)
		used += (size_t)got;
	return got == -1 ? -1 : (ssize_t)used;
}

static bool same_content(int one, int other, char *pieces)
{
	struct comparison at = { 0 };
	ssize_t length, first = 0;

	do {
		length = read_piece(one, pieces, PIECE);
		if (length == -1 || read_piece(other, pieces + PIECE, PIECE) != length ||
		    !same_piece(&at, pieces, pieces + PIECE, (size_t)length))
			return false;
		first = first ? first : length;
	} while (length == PIECE);
	// A process without a command line has ended, or has not begun.
	return first > 0;
}

static int open_command(pid_t pid)
{
	char path[PROCFILE_PATH];

	return openat(AT_FDCWD, procfile_path(path, pid, "/cmdline"), O_RDONLY | O_CLOEXEC);
}

static bool same_command(pid_t pid, char *pieces)
{
	int one = open_command(0), other = open_command(pid);
	bool same = one != -1 && other != -1 && same_content(one, other, pieces);

	if (one != -1)
		(void)close(one);
	if (other != -1)
		(void)close(other);
	return same;
}

// Returns the length of the path, without what says that it was replaced; 0: this process may not look.
static size_t read_executable(pid_t pid, char text[PATH_MAX])
{
	char path[PROCFILE_PATH];
	ssize_t length = readlinkat(AT_FDCWD, procfile_path(path, pid, "/exe"), text, PATH_MAX);

	if (length > (ssize_t)DELETED_LENGTH && memcmp(text + length - DELETED_LENGTH, DELETED, DELETED_LENGTH) == 0)
		length -= DELETED_LENGTH;
	return length > 0 ? (size_t)length : 0;
}

struct search {
	const struct mapped_file *file;
	char *texts;		// this program's executable, and room for what is compared
	size_t length;		// of the first
	bool mapped;
	bool pending;		// a child may be about to become a copy
	pid_t found;
	uint64_t start;		// of that one
};

static bool runs_same_program(const struct search *search, pid_t pid)
{
	char *other = search->texts + PATH_MAX;

	return search->length > 0 && read_executable(pid, other) == search->length &&
	       successor_same_text(search->texts, other, search->length) && same_command(pid, other);
}

static bool runs_program_next(const struct search *search, pid_t pid)
{
	char path[PROCFILE_PATH];
	char *own = search->texts + PATH_MAX, *other = own + PIECE;
	ssize_t own_length = procfile_read("/proc/self/cmdline", own, PIECE);
	ssize_t length = procfile_read(procfile_path(path, pid, "/cmdline"), other, PIECE);

	return own_length > 0 && own_length < PIECE && length >= 0 && length < PIECE &&
	       successor_runs_next(own, (size_t)own_length, other, (size_t)length);
}

// Forked by another copy, which leads: a worker.
static bool is_worker_of_copy(const struct search *search, pid_t parent)
{
	return parent != getpid() && runs_same_program(search, parent) && !keepers_maps(parent, search->file);
}

// What of a process' status counts here.
struct descendant {
	uint64_t start;
	pid_t parent;
	bool young;
};

// Apart, so that the rest is not on the stack when more is looked at. False: it has ended.
__attribute__((noinline)) static bool look_at(pid_t pid, struct descendant *one)
{
	struct process_stat status;

	if (process_read_stat(pid, &status) == -1 || process_has_ended(&status))
		return false;
	*one = (struct descendant){ status.start, status.parent, process_is_younger(&status, YOUNG_TICKS) };
	return true;
}

static bool visit(void *context, pid_t pid, bool certain)
{
	struct search *search = context;
	struct descendant one;

	if (!certain || !look_at(pid, &one))
		return !certain;
	if (!runs_same_program(search, pid)) {
		search->pending = search->pending || (one.young && runs_program_next(search, pid));
		return false;
	}
	// One that only forked keeps the flock, if there is one to keep. Recorded before its exec, it would keep the lock beyond that.
	if (keepers_maps(pid, search->file) || !search->mapped) {
		bool moves = one.young && !holder_stays(pid);

		search->pending = search->pending || moves;
		if (moves || search->mapped)
			return false;
	}
	if (one.start >= search->start && !process_is_ending(pid) && !is_worker_of_copy(search, one.parent)) {
		search->found = pid;
		search->start = one.start;
	}
	return false;
}

// Whether PID, seen before, still runs this program.
static bool still_runs(pid_t pid, const struct mapped_file *file)
{
	struct search search = { .file = file, .texts = scratch_get() };
	bool runs = false;

	if (search.texts) {
		search.length = read_executable(0, search.texts);
		runs = process_alive(pid, PROCESS_NO_STAMP) && runs_same_program(&search, pid);
	}
	scratch_free(search.texts);
	return runs;
}

static void look(struct search *search)
{
	search->texts = scratch_get();
	if (search->texts) {
		search->length = read_executable(0, search->texts);
		relatives_of_self(NULL, visit, search, search->file->budget);
	}
	scratch_free(search->texts);
}

bool successor_record(const struct mapped_file *file, const struct record *own, bool mapped)
{
	budget_owe(file->budget);
	for (int tries = 0, failed = 0;; tries++) {
		struct search search = { .file = file, .mapped = mapped };

		look(&search);
		if (search.found != 0 && holder_leave_to(file, own, search.found, still_runs))
			return true;
		// A child may call exec between two looks at it: it ran this program, and maps the file no more. Then it is looked at again.
		failed += search.found != 0;
		if ((search.found == 0 && !search.pending) || failed == LOOKS_FAILED || budget_is_over(file->budget))
			return false;
		pause_us(LOOK_AGAIN_US << (tries < 5 ? tries : 5));
	}
}
