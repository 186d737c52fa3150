// SPDX-License-Identifier: MIT
#include "tombstone.h"

#include "digest.h"
#include "pause.h"
#include "process.h"
#include "scratch.h"
#include "socketowner.h"
#include "text.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// How many may stand for one lock file at a time. One more process that ends leaves everything to the kernel.
#define TOMBSTONES 4
// ".0"
#define NUMBER_LENGTH 2
// Longer paths of directories go into scratch memory, of which a start would have to touch a page more.
#define MOST_DIRECTORIES 256
// Between two looks where there is nothing to be woken by.
#define LOOK_AGAIN_US 100
// Linux 6.5; glibc has no name for it before 2.38.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static void add_number(struct digest *digest, uint64_t number)
{
	digest_add(digest, &number, sizeof(number));
}

// Where a lock file's tombstones are, and who may raise them.
struct place {
	struct sockaddr_un address;
	socklen_t length;
	bool for_all;	// the directory is one that others may write to
	uid_t owner;	// of the directory
};

// One directory may have several paths (/var/lock and /run/lock), so the name is made of what the directory is, not of what it is
// called, and of the file's name. A digest of them where that is too long.
static void add_name(struct text *text, const struct stat *directory, const char *file)
{
	struct text plain = *text;
	struct digest digest;
	char hex[DIGEST_HEX];

	text_number(&plain, directory->st_dev);
	text_add(&plain, ".");
	text_number(&plain, directory->st_ino);
	text_add(&plain, ".");
	text_add(&plain, file);
	// With room for the number that is to come.
	if (!plain.cut && plain.length + NUMBER_LENGTH < plain.size) {
		*text = plain;
		return;
	}
	digest_start(&digest);
	add_number(&digest, directory->st_dev);
	add_number(&digest, directory->st_ino);
	digest_add(&digest, file, strlen(file));
	digest_end(&digest, hex);
	text->start[text->length] = '\0';
	text_add(text, hex);
}

// Looks at the directory of the file at PATH.
static int stat_directory(const char *path, struct stat *status)
{
	char most[MOST_DIRECTORIES];
	size_t length = (size_t)(text_basename(path) - path);
	char *room = length < sizeof(most) ? most : scratch_get();
	int result = -1;

	if (room) {
		memcpy(room, path, length);
		room[length] = '\0';
		result = fstatat(AT_FDCWD, room, status, 0);
	}
	if (room != most)
		scratch_free(room);
	return result;
}

// The last character of the address tells the tombstones of one file apart. Returns 0; or -1 and errno: the directory cannot be looked
// at, and a name of another kind would not be seen by those who can.
static int find_place(const char *path, struct place *place)
{
	const char *file = text_basename(path);
	struct stat status;
	struct text name;

	if (stat_directory(path, &status) == -1)
		return -1;
	*place = (struct place){
		.address = { .sun_family = AF_UNIX },
		.for_all = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0,
		.owner = status.st_uid,
	};
	name = text_in(place->address.sun_path + 1, sizeof(place->address.sun_path) - 1);
	text_add(&name, "exlock.");
	add_name(&name, &status, file);
	text_add(&name, ".0");
	place->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + name.length);
	return 0;
}

static void choose(struct place *place, int number)
{
	place->address.sun_path[place->length - offsetof(struct sockaddr_un, sun_path) - 1] = (char)('0' + number);
}

static int bind_somewhere(int fd, struct place *place)
{
	for (int number = 0; number < TOMBSTONES; number++) {
		choose(place, number);
		if (bind(fd, (const struct sockaddr *)&place->address, place->length) == 0)
			return 0;
		if (errno != EADDRINUSE)
			break;
	}
	return -1;
}

// The kernel runs the final close of a dying process' descriptors newest first, so an ordinary socket would go before
// the program's own. One that is only in flight, in the queue of a socket pair, goes after them all.
static int put_in_flight(int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};
	int pair[2];
	int error;

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	if (sendmsg(pair[0], &message, MSG_NOSIGNAL) == 1)
		return 0;
	error = errno;
	(void)close(pair[0]);
	(void)close(pair[1]);
	errno = error;
	return -1;
}

// Root does not believe a user's in a directory that only root may write to: who ran there over root's own stale file.
static bool is_believed_by_all(const struct place *place)
{
	uid_t uid = geteuid();

	return place->for_all || uid == 0 || uid == place->owner;
}

int tombstone_raise(const char *path)
{
	struct place place;
	int fd, result, error;

	if (find_place(path, &place) == -1)
		return -1;
	if (!is_believed_by_all(&place)) {
		errno = EPERM;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	result = bind_somewhere(fd, &place);
	if (result == 0)
		result = listen(fd, SOMAXCONN);
	if (result == 0)
		result = put_in_flight(fd);
	error = errno;
	(void)close(fd);
	errno = error;
	return result;
}

// Abstract names are anybody's. Where no other user may have held the lock, none has left a tombstone either.
static bool is_credible(const struct place *place, uid_t uid)
{
	return place->for_all || uid == 0 || uid == geteuid() || uid == place->owner;
}

// For one whose queue is full: by somebody who floods it, or who raised it like that, since nobody can ask it whose it is. Where
// the kernel does not tell either, it stands.
static bool may_be_credible(const struct place *place)
{
	uid_t uid;

	return place->for_all || !socketowner_find(&place->address, place->length, &uid) || is_credible(place, uid);
}

enum sight {
	NOT_SEEN,	// or not allowed to be looked for, in a sandbox
	SEEN,
	UNKNOWN,	// errno tells why
};

// What an error means: of socket(2), or of connect(2) to a name that nobody has, or a socket of another kind.
static enum sight sight_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case EPROTOTYPE:
	case EACCES:
	case EPERM:
	case ENOSYS:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return NOT_SEEN;
	default:
		return UNKNOWN;
	}
}

// A tombstone that stands.
struct sighting {
	struct tombstone_owner owner;
	int process;	// the owner's, open; -1: it cannot be opened
};

static void forget(struct sighting *seen)
{
	if (seen->process != -1)
		(void)close(seen->process);
	seen->process = -1;
}

// Opens the process that raised the tombstone that FD is connected to. Returns -1 and errno ESRCH: it has ended, and nobody has its
// PID; or another errno. Before Linux 6.5 it is the one that has its PID now.
static int open_owner(int fd, pid_t pid)
{
	int process = -1;
	socklen_t size = sizeof(process);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &size) == 0)
		return process;
	// Linux 6.5 says EINVAL of a process that nobody has to wait for any more.
	if (errno == ESRCH || errno == EINVAL) {
		errno = ESRCH;
		return -1;
	}
	if (pid > 0)
		return pidfd_open(pid, 0);
	errno = ENODATA;
	return -1;
}

// A child that was forked in its owner's last moment keeps an ended process' tombstone, and must not be waited for.
static bool has_ended(struct sighting *seen, int fd)
{
	seen->process = open_owner(fd, seen->owner.pid);
	if (seen->process != -1)
		return watch_ended(seen->process, 0) == 0;
	return errno == ESRCH || (seen->owner.pid > 0 && !process_alive(seen->owner.pid, PROCESS_NO_STAMP));
}

// Looks at one of the tombstones by connecting to it with FD, which is used up if errno is EISCONN.
static enum sight look_at(int fd, const struct place *place, struct sighting *seen)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	*seen = (struct sighting){ .process = -1 };
	if (connect(fd, (const struct sockaddr *)&place->address, place->length) == -1) {
		// Its queue is full: somebody floods it, but it is there.
		if (errno != EAGAIN)
			return sight_of(errno);
		if (may_be_credible(place))
			return SEEN;
		errno = EISCONN;
		return NOT_SEEN;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		seen->owner = (struct tombstone_owner){ .pid = peer.pid, .user = peer.uid, .user_known = true };
	if ((!seen->owner.user_known || is_credible(place, peer.uid)) && !has_ended(seen, fd))
		return SEEN;
	forget(seen);
	errno = EISCONN;
	return NOT_SEEN;
}

// Looks at all of the tombstones for one that stands. OF: of this process alone; 0: of any.
static enum sight look(struct place *place, pid_t of, struct sighting *seen)
{
	enum sight sight = NOT_SEEN;
	int fd = -1, error = 0;

	for (int number = 0; number < TOMBSTONES && sight == NOT_SEEN; number++) {
		// A refused socket can be used again, one that found somebody cannot.
		if (fd == -1)
			fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd == -1)
			return sight_of(errno);
		choose(place, number);
		sight = look_at(fd, place, seen);
		error = errno;
		if (sight == SEEN && of != 0 && seen->owner.pid != of) {
			forget(seen);
			sight = NOT_SEEN;
			error = EISCONN;
		}
		if (sight != SEEN && error != ECONNREFUSED) {
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd != -1)
		(void)close(fd);
	errno = error;
	return sight;
}

bool tombstone_is_of(const char *path, pid_t pid)
{
	struct place place;
	struct sighting seen;
	bool is_seen = find_place(path, &place) == 0 && look(&place, pid, &seen) == SEEN;

	if (is_seen)
		forget(&seen);
	return is_seen;
}

int tombstone_await(const char *path, uint64_t deadline, struct tombstone_owner *owner)
{
	struct place place;
	struct sighting seen;
	enum sight sight;

	*owner = (struct tombstone_owner){ .pid = 0 };
	if (find_place(path, &place) == -1)
		return -1;
	while ((sight = look(&place, 0, &seen)) == SEEN) {
		bool late = pause_clock() >= deadline;

		*owner = seen.owner;
		if (!late && (seen.process == -1 || watch_ended(seen.process, deadline) == -1))
			pause_us(LOOK_AGAIN_US);
		forget(&seen);
		if (late) {
			errno = ETIME;
			return -1;
		}
	}
	return sight == UNKNOWN ? -1 : 0;
}
