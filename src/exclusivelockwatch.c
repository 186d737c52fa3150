// SPDX-License-Identifier: MIT
// A descriptor that becomes readable when nobody holds a lock. No descriptor of the kernel's does that: a pidfd tells of the holder's end
// alone, inotify of the file alone, and a peer's record may be all there is. So a thread of the library's waits, with all signals blocked and
// its own table of descriptors, and the program has one end of a pair of sockets. If the program closes that end, the thread ends.
#include "exclusivelock.h"

#include "exclusivelocklook.h"
#include "exclusivelockpath.h"
#include "limited.h"
#include "pause.h"
#include "scratch.h"
#include "watch.h"

#include <errno.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOKS 5
#define LOOK_AGAIN_US 2000

struct watcher {
	int end;		// the thread's of the pair
	char path[];
};

// What the thread that starts another one waits for.
struct beginning {
	struct watcher *watcher;
	sem_t over;
	int error;		// the thread has no table of its own
};

// When a holder releases the lock and another process waits, nobody has the lock until the kernel has woken that one. So where the file
// is still there, free is what is seen free several times.
static bool is_held(const char *path, pid_t *pid)
{
	for (int look = 1;; look++) {
		*pid = exclusivelocklook_holder(path);
		if (*pid > 0 || (*pid == -1 && errno == ESRCH))
			return true;
		if (look == LOOKS || access(path, F_OK) == -1)
			return false;
		pause_us(LOOK_AGAIN_US);
	}
}

static bool is_closed(int end)
{
	struct pollfd file = { .fd = end };

	return poll(&file, 1, 0) == 1 && (file.revents & POLLHUP);
}

// Leaves END alone open, in a table of this thread's own. Returns 0, or an errno.
static int move_apart(int end)
{
	if (close_range((unsigned)end + 1, ~0U, CLOSE_RANGE_UNSHARE) == -1)
		return errno;
	return end > 0 && close_range(0, (unsigned)end - 1, 0) == -1 ? errno : 0;
}

// A byte: a child that was forked at the wrong moment has this end, too, so that its closing may not show.
static void tell(int end)
{
	(void)send(end, "", 1, MSG_NOSIGNAL);
}

static void *watch(void *context)
{
	struct beginning *beginning = context;
	struct watcher *watcher = beginning->watcher;
	int error = move_apart(watcher->end);
	pid_t holder = 0;
	bool held = error == 0 && is_held(watcher->path, &holder);

	// What is free already is told before the caller goes on.
	if (error == 0 && !held)
		tell(watcher->end);
	beginning->error = error;
	(void)sem_post(&beginning->over);
	if (error != 0)
		return NULL;
	while (held && !is_closed(watcher->end)) {
		watch_holder(holder > 0 ? holder : 0, watcher->path, UINT64_MAX, watcher->end);
		held = is_held(watcher->path, &holder);
	}
	tell(watcher->end);
	(void)close(watcher->end);
	free(watcher);
	return NULL;
}

static int start(struct watcher *watcher)
{
	struct beginning beginning = { .watcher = watcher };
	pthread_t thread;
	int error;

	(void)sem_init(&beginning.over, 0, 0);
	error = limited_start(&thread, watch, &beginning);
	if (error == 0) {
		(void)pthread_detach(thread);
		while (sem_wait(&beginning.over) == -1)
			;
		error = beginning.error;
	}
	(void)sem_destroy(&beginning.over);
	return error;
}

static struct watcher *create(const char *name, const struct exclusivelock_options *given)
{
	bool is_own;
	struct exclusivelock_options options;
	struct watcher *watcher = NULL;
	char *path = scratch_get();
	const char *why;

	if (path && exclusivelockpath_options(given, &options) && exclusivelockpath_find(name, options.directory, path, &why, &is_own))
		watcher = malloc(sizeof(*watcher) + strlen(path) + 1);
	if (watcher)
		strcpy(watcher->path, path);	// NOLINT(clang-analyzer-security.insecureAPI.strcpy): there is room for it
	scratch_free(path);
	return watcher;
}

// Returns the program's end; or -1 and errno, and WATCHER is the caller's.
static int watch_by_thread(struct watcher *watcher)
{
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	watcher->end = pair[1];
	error = start(watcher);
	(void)close(pair[1]);
	if (error == 0)
		return pair[0];
	(void)close(pair[0]);
	errno = error;
	return -1;
}

int exclusivelock_watch(const char *name, const struct exclusivelock_options *options)
{
	int before = errno, ignored, cancel_state, fd = -1, error;
	struct watcher *watcher;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	watcher = create(name, options);
	if (watcher)
		fd = watch_by_thread(watcher);
	error = errno;
	if (fd == -1)
		free(watcher);
	(void)pthread_setcancelstate(cancel_state, &ignored);
	errno = fd == -1 ? error : before;
	return fd;
}
