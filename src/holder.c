// SPDX-License-Identifier: MIT
#include "holder.h"

#include "pause.h"
#include "procfile.h"
#include "watch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// How long a leaving process watches its child: one that is about to call exec will not keep the lock.
#define GRACE_NS UINT64_C(200000000)
// At least so often, for on a busy machine the time may be over after a look or two.
#define LOOKS_IN_GRACE 12
#define ENDINGS_NS UINT64_C(1000000000)
#define LOOK_AGAIN_US 500
// How often a process has to be seen asleep to be there to stay.
#define LOOKS_ASLEEP 3
// How often nobody may be seen to map the file before the flock counts as a waiter's, who took it at once.
#define LOOKS_MISSED 3
// More than any child uses before it calls exec.
#define WORKS_TICKS 5

// Writes TO in the place of the record OLD, if that still is there. Without the flock, so under the record lock alone, as
// everybody who writes does.
static void replace(const struct mapped_file *file, const struct record *old, pid_t to)
{
	struct process_stat process;
	struct record record;
	struct stat status;
	int fd = record_open(file->path, O_RDWR, &status);
	pid_t writer;

	if (fd == -1)
		return;
	if (status.st_dev == file->device && status.st_ino == file->inode && record_lock(fd, F_WRLCK, &writer) == 0) {
		// Still mapped, now that nobody else can write: otherwise a process that has let go would be recorded.
		if (record_read(fd, &record, &status) == 0 && record_is_same(&record, old) && keepers_maps(to, file) &&
		    process_read_stat(to, &process) == 0)
			(void)record_write(fd, to, process_start(&process), &status);
		record_unlock(fd);
	}
	(void)close(fd);
}

// Who was seen asleep, and how often.
struct sleeper {
	pid_t pid;
	int seen;
};

// A child between fork and exec has the mapping, too. Recorded, it would keep the lock beyond its exec. But it neither sleeps
// nor works for long. On a busy machine one that stays waits for its turn between two sleeps, so SLEEPER is kept from look to look.
static bool stays(pid_t pid, struct sleeper *sleeper)
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

pid_t holder_find(const char *path)
{
	struct sleeper sleeper = { 0 };
	struct mapped_file file = { .path = path };
	struct record record;
	struct stat status;
	pid_t pid;

	if (record_peek(path, &record, &status) == -1)
		return 0;
	if (record_is_alive(&record))
		return record.pid;
	file.device = status.st_dev;
	file.inode = status.st_ino;
	pid = keepers_find_mapper(&file);
	if (pid == 0)
		return keepers_find_locker(&file);
	if (stays(pid, &sleeper))
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

bool holder_hand_on(const struct mapped_file *file, const struct record *own, bool watch_flock)
{
	uint64_t end = pause_clock() + GRACE_NS;
	struct sleeper sleeper = { 0 };
	struct record record;
	struct stat status;
	pid_t pid;
	int missed = 0;

	if (record_peek(file->path, &record, &status) == -1)
		return false;
	if (record.pid != getpid() || !record_is_same(&record, own))
		return true;
	for (int tries = 0; (tries < LOOKS_IN_GRACE || pause_clock() < end) && missed < LOOKS_MISSED; tries++) {
		if (watch_flock && holder_flock_is_free(file->path))
			return false;
		// Contenders have the flock for an instant, too: to look for a child costs more than to try again.
		pid = tries < 4 && watch_flock ? 0 : keepers_find_mapper(file);
		if (pid == 0 && !watch_flock)
			return false;
		missed += pid == 0 && tries >= 4;
		if (pid != 0 && stays(pid, &sleeper)) {
			replace(file, &record, pid);
			break;
		}
		pause_us(LOOK_AGAIN_US << (tries < 5 ? tries : 5));
	}
	return true;
}

bool holder_hand_on_mapped(const struct mapped_file *file)
{
	uint64_t end = pause_clock() + GRACE_NS;
	struct sleeper sleeper = { 0 };
	struct record record;
	struct stat status;
	pid_t pid;

	for (int tries = 0; (pid = keepers_find_mapper(file)) != 0; tries++) {
		bool late = tries >= LOOKS_IN_GRACE && pause_clock() >= end;

		if (late || stays(pid, &sleeper)) {
			if (record_peek(file->path, &record, &status) == 0)
				replace(file, &record, pid);
			return true;
		}
		pause_us(LOOK_AGAIN_US << (tries < 5 ? tries : 5));
	}
	return false;
}

static void await_ending(void *deadline, pid_t pid)
{
	if (pid != getpid() && process_is_ending(pid))
		(void)watch_process(pid, *(uint64_t *)deadline);
}

void holder_await_endings(void)
{
	uint64_t deadline = pause_clock() + ENDINGS_NS;

	procfile_list("/proc", await_ending, &deadline);
}
