// SPDX-License-Identifier: MIT
#include "watch.h"

#include "pause.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000u

// Where nothing can wake us, and as a second look where a wake-up could be missed.
#define LOOK_AGAIN_NS 20000000
#define LOOK_AGAIN_SAFELY_NS 1000000000
// Between the end of a process and its being seen to have ended.
#define LOOK_AGAIN_US 500
// A sandbox that lets a call return so for ever is not to make us spin.
#define INTERRUPTED_MAX 100

static struct timespec timespec_of(uint64_t nanoseconds)
{
	return (struct timespec){ .tv_sec = (time_t)(nanoseconds / NANOSECONDS),
				  .tv_nsec = (long)(nanoseconds % NANOSECONDS) };
}

// poll(2) until DEADLINE, or at most LIMIT nanoseconds.
static int poll_until(struct pollfd *files, nfds_t count, uint64_t deadline, uint64_t limit)
{
	uint64_t now = pause_clock();
	uint64_t left = now >= deadline ? 0 : deadline - now;
	struct timespec time;
	int result;

	if (left > limit)
		left = limit;
	time = timespec_of(left);
	result = ppoll(files, count, &time, NULL);
	if (result == 0)
		pause_passed(left);
	return result;
}

int watch_ended(int process, uint64_t deadline)
{
	struct pollfd file = { .fd = process, .events = POLLIN };
	int interrupted = 0;
	int result;

	do
		result = poll_until(&file, 1, deadline, UINT64_MAX);
	while (result == -1 && errno == EINTR && interrupted++ < INTERRUPTED_MAX);
	if (result == 0)
		errno = ETIME;
	return result == 1 ? 0 : -1;
}

int watch_process(pid_t pid, uint64_t deadline)
{
	int process = pidfd_open(pid, 0);
	int result, error;

	if (process == -1)
		return errno == ESRCH ? 0 : -1;
	result = watch_ended(process, deadline);
	error = errno;
	(void)close(process);
	errno = error;
	return result;
}

void watch_holder(pid_t pid, const char *path, uint64_t deadline, int end)
{
	struct pollfd files[] = { { .fd = pidfd_open(pid, 0), .events = POLLIN }, { .events = POLLIN }, { .fd = end } };
	uint64_t limit = LOOK_AGAIN_SAFELY_NS;

	// It has just ended.
	if (files[0].fd == -1 && errno == ESRCH) {
		pause_us(LOOK_AGAIN_US);
		return;
	}
	files[1].fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	// The watch is set now and the record was read before: what happened in between is seen at the next, safe look.
	if (files[1].fd == -1 ||
	    inotify_add_watch(files[1].fd, path, IN_DELETE_SELF | IN_MOVE_SELF | IN_MODIFY | IN_ATTRIB | IN_DONT_FOLLOW) == -1 ||
	    files[0].fd == -1)
		limit = LOOK_AGAIN_NS;
	(void)poll_until(files, sizeof(files) / sizeof(*files), deadline, limit);
	for (int i = 0; i < 2; i++)
		if (files[i].fd != -1)
			(void)close(files[i].fd);
}
