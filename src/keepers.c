// SPDX-License-Identifier: MIT
#include "keepers.h"

#include "fdinfo.h"
#include "process.h"
#include "procfile.h"
#include "record.h"
#include "text.h"
#include "user.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKS_LOCKS 10
// How much of one text in /proc is read. Each read of /proc/locks begins at the first lock again, in the kernel.
#define MAPS_MAX 1048576
#define LOCKS_MAX 131072
// A longer list of locks takes more than one read: the kernel fills a page, up to a line that does not fit.
#define LOCKS_ONE_READ 3900
// Between two looks at the clock.
#define LINES_BETWEEN 64

static bool parse_hex(const char **at, const char *end, unsigned *number)
{
	static const char digits[] = "0123456789abcdef";
	const char *start = *at, *digit;

	for (*number = 0; *at < end && (digit = memchr(digits, **at, sizeof(digits) - 1)) != NULL; ++*at)
		*number = *number * 16 + (unsigned)(digit - digits);
	return *at > start;
}

// "08:01", as maps and locks print a device.
static bool parse_device(const char **at, const char *end, dev_t *device)
{
	unsigned major, minor;

	if (!parse_hex(at, end, &major) || *at == end || *(*at)++ != ':' || !parse_hex(at, end, &minor))
		return false;
	// As stat(2) has it; makedev() is a function of libc's.
	*device = ((dev_t)(major & 0xfff) << 8) | ((dev_t)(major & ~0xfffu) << 32) |
		  (minor & 0xff) | ((dev_t)(minor & ~0xffu) << 12);
	return true;
}

static void skip_word(const char **at, const char *end)
{
	while (*at < end && **at != ' ')
		++*at;
	while (*at < end && **at == ' ')
		++*at;
}

// The device in a line of maps: its fourth word.
static bool device_of_line(const char *line, size_t length, dev_t *device)
{
	const char *at = line, *end = line + length;

	for (int i = 0; i < 3; i++)
		skip_word(&at, end);
	return parse_device(&at, end, device);
}

// "55e0-55e1 ---s 00000000 08:01 1234      /run/lock/py_exclusivelock_x.lock"
bool keepers_line_maps(const char *line, size_t length, const struct mapped_file *file)
{
	const char *at = line, *end = line + length;
	uint64_t inode;
	dev_t device;
	size_t path;

	for (int i = 0; i < 3; i++)
		skip_word(&at, end);
	if (!parse_device(&at, end, &device))
		return false;
	skip_word(&at, end);
	if (!text_parse_number(&at, end, &inode) || inode == 0)
		return false;
	skip_word(&at, end);
	path = (size_t)(end - at);
	return inode == file->inode && (device == file->device ||
	       (path == strlen(file->path) && memcmp(at, file->path, path) == 0));
}

// How much of a text has been read.
struct extent {
	struct budget *budget;
	size_t limit, bytes;
	unsigned lines;
	bool cut;		// it was not read to its end
};

static bool is_beyond(struct extent *extent, size_t length)
{
	extent->bytes += length + 1;
	extent->cut = extent->bytes > extent->limit || (++extent->lines % LINES_BETWEEN == 0 && budget_cuts(extent->budget));
	return extent->cut;
}

struct line_search {
	const struct mapped_file *file;
	struct extent extent;
	pid_t locker;
	dev_t device;
	bool waits;
	bool found;
};

static bool visit_own_line(void *context, const char *line, size_t length)
{
	struct line_search *search = context;

	search->found = keepers_line_maps(line, length, search->file) && device_of_line(line, length, &search->device);
	return search->found || is_beyond(&search->extent, length);
}

// Some file systems show another device in maps than stat does. Then our own maps do, too: a file with that number on any other
// device is one of another file system, or that somebody has in a mount namespace of their own.
static bool shows_as(const struct mapped_file *file, dev_t device)
{
	struct line_search own = { .file = file, .extent = { file->budget, MAPS_MAX, 0, 0, false } };
	int fd = openat(AT_FDCWD, file->path, O_RDONLY | RECORD_OPEN_FLAGS);
	// Private: to nobody who looks at us it is one that keeps the lock.
	void *mapping = fd == -1 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);

	if (mapping != MAP_FAILED) {
		own.found = mappings_device(mapping, &own.device);
		if (!own.found)
			(void)procfile_lines("/proc/self/maps", visit_own_line, &own);
		(void)munmap(mapping, 1);
	}
	if (fd != -1)
		(void)close(fd);
	return own.found && own.device == device;
}

// As hold.c maps it, its second word: shared, and not to be touched.
static bool is_line_of_keeper(const char *line, size_t length)
{
	static const char access[] = "---s ";
	const char *at = line, *end = line + length;

	skip_word(&at, end);
	return end - at >= (ptrdiff_t)sizeof(access) && memcmp(at, access, sizeof(access) - 1) == 0;
}

static bool visit_maps_line(void *context, const char *line, size_t length)
{
	struct line_search *search = context;
	dev_t device;

	search->found = is_line_of_keeper(line, length) && keepers_line_maps(line, length, search->file) &&
			(!device_of_line(line, length, &device) || device == search->file->device || shows_as(search->file, device));
	return search->found || is_beyond(&search->extent, length);
}

static enum mappings look_as_text(const char *path, const struct mapped_file *file)
{
	struct line_search search = { .file = file, .extent = { file->budget, MAPS_MAX, 0, 0, false } };

	if (procfile_lines(path, visit_maps_line, &search) == -1 || search.extent.cut)
		return MAPPINGS_UNSEEN;
	return search.found ? MAPPINGS_WITH : MAPPINGS_WITHOUT;
}

static bool is_file(const void *context, dev_t device, ino_t inode)
{
	const struct mapped_file *file = context;

	return inode == file->inode && (device == file->device || shows_as(file, device));
}

enum mappings keepers_look(pid_t pid, const struct mapped_file *file)
{
	char path[PROCFILE_PATH];
	enum mappings found = mappings_find(procfile_path(path, pid, "/maps"), is_file, file, file->budget);

	return found == MAPPINGS_AS_TEXT ? look_as_text(procfile_path(path, pid, "/maps"), file) : found;
}

bool keepers_maps(pid_t pid, const struct mapped_file *file)
{
	return keepers_look(pid, file) == MAPPINGS_WITH;
}

bool keepers_keeps(pid_t pid, const struct mapped_file *file)
{
	enum fdinfo_result result;

	if (keepers_maps(pid, file))
		return true;
	result = fdinfo_look(pid, file);
	return result != FDINFO_WITHOUT && result != FDINFO_UNSEEN;
}

bool keepers_keeps_beyond_exec(pid_t pid, const struct mapped_file *file)
{
	enum fdinfo_result result;

	if (keepers_maps(pid, file))
		return true;
	result = fdinfo_look(pid, file);
	return result == FDINFO_STAYS || result == FDINFO_HANDED_OVER;
}

bool keepers_keeps_for_good(pid_t pid, const struct mapped_file *file)
{
	return keepers_maps(pid, file) || fdinfo_look(pid, file) == FDINFO_HANDED_OVER;
}

bool keepers_is_credible(pid_t pid, uid_t owner)
{
	char path[PROCFILE_PATH];
	struct stat status;

	return fstatat(AT_FDCWD, procfile_path(path, pid, ""), &status, 0) == 0 && (status.st_uid == 0 || user_is_same(status.st_uid, owner));
}

struct mapper_search {
	const struct mapped_file *file;
	const uid_t *owner;
	pid_t self, oldest, last;
	uint64_t start;
	bool cut;		// not all could be looked at
};

static bool visit_process(void *context, pid_t pid)
{
	struct mapper_search *search = context;
	struct process_stat status;

	if (pid == search->self || (search->owner && !keepers_is_credible(pid, *search->owner)))
		return false;
	search->last = pid;
	if (keepers_maps(pid, search->file) && process_read_stat(pid, &status) == 0 && (!search->oldest || status.start < search->start)) {
		search->oldest = pid;
		search->start = status.start;
	}
	search->cut = budget_cuts(search->file->budget);
	return search->cut;
}

static struct mapper_search find(const struct mapped_file *file, const uid_t *owner)
{
	struct mapper_search search = { .file = file, .owner = owner, .self = getpid() };

	if (!process_proc_is_foreign())
		(void)procfile_search("/proc", 0, visit_process, &search);
	return search;
}

pid_t keepers_find_mapper(const struct mapped_file *file)
{
	return find(file, NULL).oldest;
}

pid_t keepers_find_credible(const struct mapped_file *file, uid_t owner)
{
	return find(file, &owner).oldest;
}

pid_t keepers_find_any(const struct mapped_file *file)
{
	struct mapper_search search = find(file, NULL);

	return search.oldest || !search.cut ? search.oldest : search.last;
}

// "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF"; one that waits: "1: -> FLOCK ..."
bool keepers_parse_flock_line(const char *line, size_t length, struct flock_line *lock)
{
	const char *at = line, *end = line + length;
	uint64_t number;

	skip_word(&at, end);
	lock->waits = end - at > 2 && memcmp(at, "->", 2) == 0;
	if (lock->waits)
		skip_word(&at, end);
	if (end - at < 5 || memcmp(at, "FLOCK", 5) != 0)
		return false;
	for (int i = 0; i < 3; i++)
		skip_word(&at, end);
	// "-1": taken in another PID namespace, or by nobody who is still there.
	lock->pid = text_parse_number(&at, end, &number) ? (pid_t)number : 0;
	skip_word(&at, end);
	if (!parse_device(&at, end, &lock->device) || at == end || *at++ != ':' || !text_parse_number(&at, end, &number))
		return false;
	lock->inode = number;
	return true;
}

bool keepers_is_of(const struct flock_line *lock, const struct mapped_file *file)
{
	return lock->inode == file->inode && (lock->device == file->device || shows_as(file, lock->device));
}

static bool visit_locks_line(void *context, const char *line, size_t length)
{
	struct line_search *search = context;
	struct flock_line lock;

	if (!keepers_parse_flock_line(line, length, &lock) || lock.waits != search->waits || !keepers_is_of(&lock, search->file))
		return is_beyond(&search->extent, length);
	search->locker = lock.pid;
	search->found = true;
	return true;
}

// Between two reads the kernel goes on by counting: when another lock goes meanwhile, one is passed over. So a list of several reads that does
// not have the flock is read again.
static struct line_search find_flock(const struct mapped_file *file)
{
	struct line_search search = { .file = file, .extent = { .budget = file->budget, .limit = LOCKS_MAX } };

	for (int look = 0; look < LOOKS_LOCKS && !search.found && !search.extent.cut; look++) {
		search.extent.bytes = 0;
		(void)procfile_lines("/proc/locks", visit_locks_line, &search);
		if (search.extent.bytes < LOCKS_ONE_READ)
			break;
	}
	return search;
}

pid_t keepers_find_taker(const struct mapped_file *file)
{
	struct line_search search = find_flock(file);

	if (search.extent.cut)
		return -1;
	return search.locker < 0 ? 0 : search.locker;
}

struct line_place {
	const struct mapped_file *file;
	struct extent extent;
	pid_t pid;
	bool found;
};

static bool visit_line_place(void *context, const char *line, size_t length)
{
	struct line_place *place = context;
	struct flock_line lock;

	place->found = keepers_parse_flock_line(line, length, &lock) && lock.pid == place->pid && keepers_is_of(&lock, place->file);
	return place->found || is_beyond(&place->extent, length);
}

bool keepers_is_in_line(const struct mapped_file *file, pid_t pid)
{
	struct line_place place = { .file = file, .pid = pid, .extent = { file->budget, LOCKS_MAX, 0, 0, false } };

	return procfile_lines("/proc/locks", visit_line_place, &place) == 0 && place.found;
}

bool keepers_is_locked(const struct mapped_file *file)
{
	return find_flock(file).found;
}

struct descriptor_search {
	const struct mapped_file *file;
	uid_t owner;
	enum keepers_descriptors count;
	bool strangers;		// those alone, or all others alone
	pid_t self, found;
	pid_t end;		// smaller numbers alone; 0: all
};

static bool has_counted(pid_t pid, const struct mapped_file *file, enum keepers_descriptors count)
{
	enum fdinfo_result result = fdinfo_look(pid, file);

	return result == FDINFO_STAYS || result == FDINFO_HANDED_OVER ||
	       ((result == FDINFO_CLOSES || result == FDINFO_TAKEN) && count == KEEPERS_ALL);
}

static bool is_stranger(pid_t pid, uid_t owner)
{
	return !keepers_is_credible(pid, owner) && !keepers_is_credible(pid, geteuid());
}

static bool visit_for_descriptor(void *context, pid_t pid)
{
	struct descriptor_search *search = context;

	if (search->end != 0 && pid >= search->end)
		return true;
	if (pid == search->self || is_stranger(pid, search->owner) != search->strangers)
		return false;
	if (has_counted(pid, search->file, search->count))
		search->found = pid;
	return search->found != 0 || budget_cuts(search->file->budget);
}

// A process that was forked by TAKER has a larger number, mostly, and not by much.
static pid_t find_descriptor(struct descriptor_search *search, pid_t taker)
{
	search->end = 0;
	if (taker > 0)
		(void)procfile_search("/proc", taker, visit_for_descriptor, search);
	search->end = taker > 0 ? taker : 0;
	if (search->found == 0)
		(void)procfile_search("/proc", 0, visit_for_descriptor, search);
	return search->found;
}

// Whether TAKER, which is alive, may still have the flock: a process that forked another one may have closed its own descriptor.
static bool may_have(pid_t taker, const struct mapped_file *file, enum keepers_descriptors count)
{
	enum mappings mappings;

	if (count != KEEPERS_ALL)
		return has_counted(taker, file, count);
	mappings = keepers_look(taker, file);
	return mappings == MAPPINGS_WITH || mappings == MAPPINGS_UNSEEN || fdinfo_look(taker, file) != FDINFO_WITHOUT;
}

pid_t keepers_find_locker(const struct mapped_file *file, uid_t owner, enum keepers_descriptors count)
{
	struct descriptor_search search = { .file = file, .owner = owner, .count = count, .self = getpid() };
	pid_t taker;

	if (process_proc_is_foreign())
		return 0;
	taker = keepers_find_taker(file);
	if (taker > 0 && taker != search.self && process_alive(taker, PROCESS_NO_STAMP) && may_have(taker, file, count))
		return taker;
	if (find_descriptor(&search, taker) != 0 || count == KEEPERS_INHERITED)
		return search.found;
	search.strangers = true;
	return find_descriptor(&search, taker);
}

struct waiter_search {
	const struct mapped_file *file;
	struct extent extent;
	bool listed, waits;
};

static bool visit_waiter_line(void *context, const char *line, size_t length)
{
	struct waiter_search *search = context;
	struct flock_line lock;

	if (keepers_parse_flock_line(line, length, &lock) && keepers_is_of(&lock, search->file)) {
		search->listed = true;
		search->waits = search->waits || lock.waits;
	}
	return search->waits || is_beyond(&search->extent, length);
}

// Who waits is listed directly behind the flock, so a list that has the one has the other (find_flock()).
enum waiters keepers_find_waiters(const struct mapped_file *file)
{
	struct waiter_search search = { .file = file, .extent = { file->budget, LOCKS_MAX, 0, 0, false } };

	for (int look = 0; look < LOOKS_LOCKS && !search.listed && !search.extent.cut; look++) {
		search.extent.bytes = 0;
		if (procfile_lines("/proc/locks", visit_waiter_line, &search) == -1)
			return WAITERS_UNKNOWN;
	}
	if (search.waits)
		return WAITERS_SEEN;
	return search.listed && !search.extent.cut ? WAITERS_NONE : WAITERS_UNKNOWN;
}
