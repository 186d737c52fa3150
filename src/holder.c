// SPDX-License-Identifier: MIT
#include "holder.h"

#include "pause.h"
#include "procfile.h"
#include "relatives.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_AGAIN_US 500
// How often a process has to be seen asleep to be there to stay.
#define LOOKS_ASLEEP 3
// How often nobody may be seen to map the file before the flock counts as a waiter's, who took it at once.
#define LOOKS_MISSED 3
// Contenders have the flock for an instant, too: so often it is tried again before anybody is looked for.
#define TRIES_ALONE 2
// More than any child uses before it calls exec.
#define WORKS_TICKS 5
// A process of another user than the file's may have had the lock, too, without a record. It is waited for as long as it works: nobody
// makes us wait longer by one that hangs. It is looked at so often, and is asleep each time if it does.
#define LOOKS_HANGING 3
#define LOOK_AT_OTHERS_NS UINT64_C(3000000)

// Writes TO in the place of the record OLD, if that still is there, and STILL(TO). Without the flock, so under the record lock alone, as
// everybody who writes does.
static bool replace_by(const struct mapped_file *file, const struct record *old, pid_t to, holder_still *still,
		       int (*write)(int fd, pid_t pid, uint64_t start, struct stat *status))
{
	struct process_stat process;
	struct record record;
	struct stat status;
	int fd = record_open(file->path, O_RDWR, &status);
	bool written = false;
	pid_t writer;

	if (fd == -1)
		return false;
	if (status.st_dev == file->device && status.st_ino == file->inode && record_lock(fd, F_WRLCK, &writer) == 0) {
		// It still keeps the flock, now that nobody else can write: otherwise a process that has let go would be recorded.
		if (record_read(fd, &record, &status) == 0 && record_is_same(&record, old) && still(to, file) &&
		    process_read_stat(to, &process) == 0)
			written = write(fd, to, process_start(&process), &status) == 0;
		record_unlock(fd);
	}
	(void)close(fd);
	return written;
}

static void replace(const struct mapped_file *file, const struct record *old, pid_t to)
{
	(void)replace_by(file, old, to, keepers_keeps_for_good, record_write);
}

bool holder_leave_to(const struct mapped_file *file, const struct record *own, pid_t to, holder_still *still)
{
	return replace_by(file, own, to, still, record_hand_on);
}

// Who was seen asleep, and how often.
struct sleeper {
	pid_t pid;
	int seen;
};

// A child between fork and exec has the mapping, too. Recorded, it would keep the lock beyond its exec. But it neither sleeps
// nor works for long. On a busy machine one that stays waits for its turn between two sleeps, so SLEEPER is kept from look to look.
static bool is_there_to_stay(pid_t pid, struct sleeper *sleeper)
{
	struct process_stat status;

	if (pid != sleeper->pid)
		*sleeper = (struct sleeper){ .pid = pid };
	while (sleeper->seen < LOOKS_ASLEEP) {
		if (process_read_stat(pid, &status) == -1)
			return false;
		if (status.cpu_ticks >= WORKS_TICKS)
			return true;
		if (status.state != 'S' && status.state != 'T')
			return false;
		sleeper->seen++;
		pause_us(LOOK_AGAIN_US);
	}
	return true;
}

bool holder_stays(pid_t pid)
{
	return is_there_to_stay(pid, &(struct sleeper){ 0 });
}

// Reads the record of FILE, whose path alone is known. False: there is no file, or the recorded process lives; *STAYS tells.
static bool names_nobody(struct mapped_file *file, struct record *record, uid_t *owner, bool *stays)
{
	struct stat status;

	*stays = false;
	if (record_peek(file->path, record, &status) == -1)
		return false;
	*stays = record_is_alive(record);
	file->device = status.st_dev;
	file->inode = status.st_ino;
	*owner = status.st_uid;
	return !*stays;
}

// Whether PID, which keeps FILE, is there to stay. Then it is recorded if it is root's or OWNER's, and keeps FILE for good.
static bool record_if_it_stays(const struct mapped_file *file, const struct record *old, uid_t owner, pid_t pid)
{
	struct sleeper sleeper = { 0 };

	if (pid == 0 || process_is_ending(pid) || !keepers_keeps_beyond_exec(pid, file) || !is_there_to_stay(pid, &sleeper))
		return false;
	if (keepers_is_credible(pid, owner))
		replace(file, old, pid);
	return true;
}

pid_t holder_find(const char *path, struct budget *budget, bool *stays)
{
	struct mapped_file file = { .path = path, .budget = budget };
	struct record record = { .pid = 0 };
	uid_t owner;
	pid_t locker, pid;

	if (!names_nobody(&file, &record, &owner, stays))
		return *stays ? record.pid : 0;
	budget_owe(budget);
	locker = keepers_find_locker(&file, owner, KEEPERS_ALL);
	budget_owe(budget);
	pid = locker != 0 && keepers_is_credible(locker, owner) ? locker : keepers_find_credible(&file, owner);
	// What a stranger maps is not kept by that. But a program of another user may have forked it, with the flock.
	if (pid == 0)
		pid = locker;
	*stays = record_if_it_stays(&file, &record, owner, pid);
	budget_owe(budget);
	return pid != 0 ? pid : keepers_find_mapper(&file);
}

pid_t holder_find_inherited(const char *path, struct budget *budget, bool *stays)
{
	struct mapped_file file = { .path = path, .budget = budget };
	struct record record = { .pid = 0 };
	uid_t owner;
	pid_t pid;

	if (!names_nobody(&file, &record, &owner, stays))
		return *stays ? record.pid : 0;
	budget_owe(budget);
	pid = keepers_find_locker(&file, owner, KEEPERS_INHERITED);
	*stays = record_if_it_stays(&file, &record, owner, pid);
	return pid;
}

struct above {
	const struct mapped_file *file;
	uid_t owner;
};

static bool keeps_above(pid_t pid, const void *context)
{
	const struct above *above = context;

	return keepers_is_credible(pid, above->owner) && keepers_keeps_for_good(pid, above->file);
}

pid_t holder_find_above(const char *path, struct budget *budget)
{
	struct mapped_file file = { .path = path, .budget = budget };
	struct above above = { .file = &file };
	struct record record = { .pid = 0 };
	bool is_alive;
	pid_t taker, pid;

	if (!names_nobody(&file, &record, &above.owner, &is_alive))
		return is_alive ? record.pid : 0;
	if (process_proc_is_foreign())
		return 0;
	budget_owe(budget);
	// If the process that took the flock lives, no other one has inherited it from a recorded one.
	taker = keepers_find_taker(&file);
	if (taker > 0 && process_alive(taker, PROCESS_NO_STAMP))
		return 0;
	pid = process_find_ancestor(keeps_above, &above);
	if (pid != 0)
		replace(&file, &record, pid);
	return pid;
}

bool holder_flock_is_free(const char *path)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | RECORD_OPEN_FLAGS);
	bool is_free = fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (fd != -1)
		(void)close(fd);
	return is_free;
}

struct heir_search {
	const struct mapped_file *file;
	struct sleeper *sleeper;	// of the first one that is seen
	uid_t owner;
	pid_t first, heir;
};

static bool visit_heir(void *context, pid_t pid, bool certain)
{
	struct heir_search *search = context;
	struct sleeper other = { 0 };

	if ((!certain && !keepers_is_credible(pid, search->owner)) || !keepers_maps(pid, search->file))
		return false;
	if (is_there_to_stay(pid, search->first == 0 ? search->sleeper : &other))
		search->heir = pid;
	if (search->first == 0)
		search->first = pid;
	return search->heir != 0;
}

// A process that was forked from SELF and maps FILE. A child's parent may have ended: then the child is none of ours beyond doubt, and
// must be root's or the file owner's.
static struct heir_search find_heir(const struct mapped_file *file, const struct process_self *self, uid_t owner, struct sleeper *sleeper)
{
	struct heir_search search = { .file = file, .sleeper = sleeper, .owner = owner };

	relatives_of_self(self, visit_heir, &search, file->budget);
	return search;
}

// Apart, so that what it has on the stack is gone when processes are looked at.
__attribute__((noinline)) static int peek(const char *path, struct record *record, uid_t *owner)
{
	struct stat status;
	int result = record_peek(path, record, &status);

	if (result == 0)
		*owner = status.st_uid;
	return result;
}

bool holder_hand_on(const struct mapped_file *file, const struct process_self *self, const struct record *own, bool watch_flock)
{
	struct sleeper sleeper = { 0 };
	struct record record;
	uid_t owner = (uid_t)-1;
	int missed = 0;

	budget_owe(file->budget);
	if (peek(file->path, &record, &owner) == -1)
		return false;
	if (record.pid != getpid() || !record_is_same(&record, own))
		return true;
	for (int tries = 0; missed < LOOKS_MISSED && (tries <= TRIES_ALONE || !budget_is_over(file->budget)); tries++) {
		if (watch_flock && holder_flock_is_free(file->path))
			return false;
		if (tries >= TRIES_ALONE || !watch_flock) {
			struct heir_search found = find_heir(file, self, owner, &sleeper);

			if (found.first == 0 && !watch_flock)
				return false;
			missed += found.first == 0;
			// One that has called exec just now keeps nothing.
			if (found.heir != 0 && (holder_leave_to(file, &record, found.heir, keepers_keeps_for_good) || keepers_maps(found.heir, file)))
				break;
		}
		pause_us(LOOK_AGAIN_US << (tries < 5 ? tries : 5));
	}
	return true;
}

bool holder_hand_on_mapped(const struct mapped_file *file, const struct process_self *self)
{
	struct sleeper sleeper = { 0 };
	struct record record;
	uid_t owner = (uid_t)-1;

	budget_owe(file->budget);
	if (peek(file->path, &record, &owner) == -1)
		return false;
	for (int tries = 0;; tries++) {
		struct heir_search found = find_heir(file, self, owner, &sleeper);
		bool late = found.first != 0 && budget_is_over(file->budget);

		if (found.first == 0)
			return false;
		if (found.heir != 0 || late) {
			(void)holder_leave_to(file, &record, found.heir != 0 ? found.heir : found.first, keepers_keeps_for_good);
			return true;
		}
		pause_us(LOOK_AGAIN_US << (tries < 5 ? tries : 5));
	}
}

struct ending_search {
	uid_t owner;
	struct budget *budget;
	bool late;
};

static void await_other(pid_t pid, struct budget *budget)
{
	struct process_stat status;

	for (int asleep = 0; asleep < LOOKS_HANGING && !budget_is_over(budget);) {
		if (watch_process(pid, pause_clock() + LOOK_AT_OTHERS_NS) == 0 || errno != ETIME || process_read_stat(pid, &status) == -1)
			return;
		asleep = status.state == 'S' || status.state == 'D' ? asleep + 1 : 0;
	}
}

// A process that ends has given up its memory before it has lost the flock: its mappings go first, then its descriptors. Anybody may read
// how much it has. The links of a process in exec, and its stat, the kernel shows only when the exec is done: somebody's file system that
// does not answer keeps it there for any time. Whoever has no memory is in no exec.
static bool has_memory(pid_t pid)
{
	char path[PROCFILE_PATH], pages[2];

	return procfile_read(procfile_path(path, pid, "/statm"), pages, sizeof(pages)) == sizeof(pages) && memcmp(pages, "0 ", sizeof(pages)) != 0;
}

static bool await_ending(void *context, pid_t pid, bool certain)
{
	struct ending_search *search = context;
	struct process_stat status;

	if (has_memory(pid) || !process_is_ending(pid) || process_read_stat(pid, &status) == -1 || process_has_ended(&status))
		return false;
	if (certain || keepers_is_credible(pid, search->owner))
		search->late = search->late || (watch_process(pid, budget_end(search->budget)) == -1 && errno == ETIME);
	else
		await_other(pid, search->budget);
	return false;
}

bool holder_await_endings(const struct process_self *self, uid_t owner, struct budget *budget)
{
	struct ending_search search = { owner, budget, false };

	budget_owe(budget);
	if (self)
		relatives_of_self(self, await_ending, &search, budget);
	else
		relatives_of_dead(await_ending, &search, budget);
	return !search.late;
}
