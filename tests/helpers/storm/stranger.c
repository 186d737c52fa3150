// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "stranger.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { TOMBSTONES = 4, CALLS = 64 };

static const uid_t STRANGER = 65533;

static pid_t stranger;
static struct tally *tally;
static const char *lock_path;

static void hesitate(void)
{
	usleep((useconds_t)(random() % 4000));
}

static int open_lock_file(void)
{
	return open(lock_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static void map_file(void)
{
	int fd = open_lock_file();
	void *mapping;

	if (fd < 0)
		return;
	mapping = mmap(NULL, 1, one_in(2) ? PROT_NONE : PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	hesitate();
	if (mapping != MAP_FAILED)
		munmap(mapping, 1);
}

static void lock_file(void)
{
	int fd = open_lock_file();

	if (fd < 0)
		return;
	if (flock(fd, (one_in(2) ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		hesitate();
	close(fd);
}

// A tombstone's address, as src/tombstone.c makes it where it is short enough.
static socklen_t tombstone_name(int number, struct sockaddr_un *address)
{
	char folder[4096], file[4096];
	struct stat status;
	int length;

	snprintf(folder, sizeof folder, "%s", lock_path);
	snprintf(file, sizeof file, "%s", lock_path);
	if (stat(dirname(folder), &status) < 0)
		_exit(BROKEN);
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "exlock.%lu.%lu.%s.%d", (unsigned long)status.st_dev,
			  (unsigned long)status.st_ino, basename(file), number);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

// A child listens on one of the names, or on as many as are free. KEPT: it ends, and a child of its own keeps the sockets.
static void squat(bool kept)
{
	int fd[TOMBSTONES];
	pid_t child = fork();

	if (child != 0) {
		if (child > 0)
			waitpid(child, NULL, 0);
		return;
	}
	for (int number = one_in(2) ? 0 : (int)(random() % TOMBSTONES); number < TOMBSTONES; number++) {
		struct sockaddr_un address;
		socklen_t length = tombstone_name(number, &address);

		fd[number] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (bind(fd[number], (struct sockaddr *)&address, length) == 0)
			(void)listen(fd[number], one_in(2) ? 0 : SOMAXCONN);
	}
	if (kept && fork() > 0)
		_exit(0);
	hesitate();
	_exit(0);
}

static void flood(void)
{
	int fd[CALLS], count = 0;
	struct sockaddr_un address;
	socklen_t length = tombstone_name((int)(random() % TOMBSTONES), &address);

	while (count < CALLS) {
		fd[count] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fd[count++], (struct sockaddr *)&address, length) < 0)
			break;
	}
	hesitate();
	while (count > 0)
		close(fd[--count]);
}

static unsigned long long start_of(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], text[1024] = "";
	const char *at;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof text - 1);
	close(fd);
	at = strrchr(text, ')');
	if (at)
		(void)sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start);
	return start;
}

// A file of its own, with the record of the storm's first process, root's: with its flock from before it has a name until after it has
// lost it. Its record may lie: it may refuse everybody, but nobody is its descendant.
static void plant(void)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = 0 } };
	char folder[4096], name[64];
	pid_t named = getppid();
	int fd;

	snprintf(folder, sizeof folder, "%s", lock_path);
	fd = open(dirname(folder), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || dprintf(fd, "%ld\n", (long)named) < 0)
		_exit(BROKEN);
	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_nsec = (long)(start_of(named) % 1000000000);
	(void)futimens(fd, times);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, name, AT_FDCWD, lock_path, AT_SYMLINK_FOLLOW) == 0) {
		hesitate();
		unlink(lock_path);
	}
	close(fd);
}

// What a monitor reads of every process, as any user may; while it does so the process keeps its memory when it dies.
static void read_dying(void)
{
	for (int slot = 0; slot < SLOTS; slot++) {
		char path[64], text[256];
		int fd;

		snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)tally->started[slot]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)!read(fd, text, sizeof text);
		usleep(50);
		close(fd);
	}
}

static void strike(void)
{
	switch (random() % 6) {
	case 0: map_file(); break;
	case 1: lock_file(); break;
	case 2: squat(one_in(2)); break;
	case 3: flood(); break;
	case 4: plant(); break;
	default: read_dying(); break;
	}
	tally->strokes++;
}

__attribute__((noreturn)) static void be_strange(void)
{
	// The children that keep a squatter's socket are waited for here.
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (setgroups(0, NULL) < 0 || setresgid(STRANGER, STRANGER, STRANGER) < 0 || setresuid(STRANGER, STRANGER, STRANGER) < 0)
		_exit(BROKEN);
	// Only now: the kernel forgets it when the user changes (kernel/cred.c, commit_creds).
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	srandom((unsigned)getpid());
	for (;;) {
		while (waitpid(-1, NULL, tally->rest ? 0 : WNOHANG) > 0)
			;
		tally->resting = tally->rest;
		if (tally->rest)
			usleep(200);
		else
			strike();
	}
}

void stranger_start(struct tally *its_tally, const char *its_lock_path)
{
	tally = its_tally;
	lock_path = its_lock_path;
	tally->strange = true;
	stranger = fork();
	if (stranger < 0)
		exit(BROKEN);
	if (stranger == 0)
		be_strange();
}

void stranger_rest(struct tally *its_tally, bool rest)
{
	if (!its_tally->strange)
		return;
	its_tally->rest = rest;
	while (its_tally->resting != rest) {
		if (kill(stranger, 0) < 0 || waitpid(stranger, NULL, WNOHANG) != 0)
			exit(BROKEN);
		usleep(200);
	}
}

void stranger_end(void)
{
	if (stranger <= 0)
		return;
	stranger_rest(tally, true);
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
	printf("stranger: %lu strokes\n", (unsigned long)tally->strokes);
}
