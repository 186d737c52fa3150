// SPDX-License-Identifier: MIT
// What exclusiveprocess 0.9.3 and flock(1) do, step by step, and how such programs end.
#define _GNU_SOURCE
#include "peers.h"

#include "gaps.h"

#include <errno.h>
#include <signal.h>
#include <sys/file.h>

// It fails with whatever the open did: refused.
__attribute__((noreturn)) static void fail_to_open(void)
{
	_exit(errno == EACCES || errno == EPERM ? DENIED : REFUSED);
}

// The locked block has ended: the program may live on. It may as well be killed, or end without a word.
__attribute__((noreturn)) static void leave_as_python(const struct tally *tally, const char *path)
{
	if (!tally->calm && one_in(5))
		kill(getpid(), SIGKILL);
	if (!tally->calm && one_in(5))
		_exit(0);
	gaps_get_out(true);
	unlink(path);
	gaps_let_peers_in();
	linger();
	_exit(0);
}

void peers_run_python(const struct tally *tally, const char *path, int slot)
{
	bool created = true;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	struct file file;
	enum gap gap;

	if (fd < 0 && errno == EEXIST) {
		created = false;
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		fail_to_open();
	if (lockf(fd, F_LOCK, 0) < 0 || !find_file(fd, "", &file))
		_exit(BROKEN);
	if (!created && gaps_is_alive(gaps_read_pid(fd)))
		_exit(REFUSED);
	gap = gaps_of_python(fd, &file, created);
	if (gap != NO_GAP && gap != LAST_INSTANT)
		gaps_withdraw(gap);
	if (dprintf(fd, "%ld", (long)getpid()) < 0 || ftruncate(fd, lseek(fd, 0, SEEK_CUR)) < 0)
		_exit(BROKEN);
	close(fd);
	gaps_enter(PYTHON, slot, &file);
	linger();
	leave_as_python(tally, path);
}

// Inside by the flock on FD.
__attribute__((noreturn)) static void run_with_flock(const struct tally *tally, int slot, int fd)
{
	struct file file;

	if (!find_file(fd, "", &file))
		_exit(BROKEN);
	gaps_check_flock(&file);
	gaps_enter(FLOCK, slot, &file);
	linger();
	if (!tally->calm && one_in(5))
		kill(getpid(), SIGKILL);
	_exit(0);
}

void peers_run_flock(const struct tally *tally, const char *path, int slot)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_NOCTTY, 0666);

	if (fd < 0)
		fail_to_open();
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		_exit(errno == EWOULDBLOCK ? REFUSED : BROKEN);
	run_with_flock(tally, slot, fd);
}

void peers_run_under_flock(const struct tally *tally, const char *path, int slot)
{
	char name[64], target[4096];

	for (int fd = 3; fd < 64; fd++) {
		ssize_t length;

		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		length = readlink(name, target, sizeof target - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		// One that was deleted has more behind its name.
		if (strncmp(target, path, strlen(path)) == 0)
			run_with_flock(tally, slot, fd);
	}
	_exit(BROKEN);
}
