// SPDX-License-Identifier: MIT
#include "exclusivelock.h"

#include "config.h"
#include "lockfile.h"
#include "lockname.h"
#include "pause.h"
#include "procfile.h"
#include "report.h"
#include "survey.h"
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS 1e9
// Above this, in seconds, a time is no limit.
#define SECONDS_MAX 9e9

struct exclusivelock {
	struct exclusivelock *next;
	struct lockfile lock;
	char path[PATH_MAX];
	char program[PATH_MAX];		// the name, where it was derived
	struct lockname name;
	bool taken;			// false: a thread is just taking it, or releasing it
};

// What atexit(3) itself calls; with no owner, the handler is the last of all.
extern int __cxa_atexit(void (*handler)(void *), void *argument, void *owner);

// The locks of this process, by this mutex.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct exclusivelock *locks;

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
	watch_before_fork();
}

static void after_fork(void)
{
	watch_after_fork();
	pthread_mutex_unlock(&mutex);
}

static bool close_pending(void *context, pid_t descriptor)
{
	const struct stat *file = context;
	struct stat status;

	if (fstat(descriptor, &status) == 0 && status.st_dev == file->st_dev && status.st_ino == file->st_ino)
		(void)close(descriptor);
	return false;
}

// A thread of the parent's that takes or releases LOCK has the file open, mapped perhaps. With those the child would keep the lock for as
// long as it lives, once that thread has got it.
static void drop_pending(const struct exclusivelock *lock)
{
	struct stat status;

	if (lock->lock.mapping)
		(void)munmap(lock->lock.mapping, 1);
	if (stat(lock->path, &status) == 0)
		(void)procfile_search("/proc/self/fd", 0, close_pending, &status);
}

// The child keeps the mappings of what was taken, and with them the parent's locks; none of them is its own to give back.
static void after_fork_in_child(void)
{
	watch_after_fork_in_child();
	for (const struct exclusivelock *lock = locks; lock; lock = lock->next)
		if (!lock->taken)
			drop_pending(lock);
	locks = NULL;
	pthread_mutex_unlock(&mutex);
}

static void leave_all(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&mutex);
	for (struct exclusivelock *lock = locks; lock; lock = lock->next)
		if (lock->taken)
			(void)lockfile_leave(&lock->lock);
	locks = NULL;
	pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void prepare(void)
{
	(void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
	(void)__cxa_atexit(leave_all, NULL, NULL);
}

// *WHY: a clause that says more than errno, or NULL.
static bool find_path(struct exclusivelock *lock, const char *name, const char **why)
{
	const char *directory = secure_getenv(CONFIG_PREFIX "DIR");
	struct lockdir found;
	bool script;

	lock->name = (struct lockname){ .text = name && name[0] ? name : lock->program };
	if (lock->name.text == lock->program &&
	    lockname_of_program((const char *)getauxval(AT_EXECFN), NULL, lock->program, &script) == -1)
		return false;
	if (directory && directory[0] && directory[0] != '/' && strcmp(directory, LOCKDIR_WORD) != 0) {
		errno = EINVAL;
		return false;
	}
	if (lockname_path(&lock->name, directory && directory[0] ? directory : NULL, getauxval(AT_SECURE) ? NULL : environ, lock->path,
			  &found) == -1)
		return false;
	*why = found.why;
	errno = EPERM;
	return !found.why;
}

// Adds LOCK to this process' locks. False: there is one of that path already.
static bool enter(struct exclusivelock *lock)
{
	bool is_new = true;

	pthread_mutex_lock(&mutex);
	for (const struct exclusivelock *other = locks; other; other = other->next)
		is_new = is_new && strcmp(other->path, lock->path) != 0;
	if (is_new) {
		lock->next = locks;
		locks = lock;
	}
	pthread_mutex_unlock(&mutex);
	return is_new;
}

// Says whether LOCK is taken. False: it is not among this process' locks, so it is the parent's.
static bool settle(const struct exclusivelock *lock, bool taken)
{
	struct exclusivelock *at;

	pthread_mutex_lock(&mutex);
	for (at = locks; at && at != lock; at = at->next)
		;
	if (at)
		at->taken = taken;
	pthread_mutex_unlock(&mutex);
	return at != NULL;
}

// Takes LOCK out of this process' locks.
static void withdraw(const struct exclusivelock *lock)
{
	struct exclusivelock **at;

	pthread_mutex_lock(&mutex);
	for (at = &locks; *at && *at != lock; at = &(*at)->next)
		;
	if (*at)
		*at = lock->next;
	pthread_mutex_unlock(&mutex);
}

static int take(struct exclusivelock *lock, uint64_t deadline, struct lockfile_outcome *outcome)
{
	enum lockfile_result result;

	lock->lock = (struct lockfile){ .path = lock->path, .self = process_self(), .descriptor = -1, .threads = true };
	result = lockfile_try(&lock->lock, deadline == 0, outcome);
	if (result == LOCKFILE_HELD && deadline != 0)
		result = lockfile_wait(&lock->lock, deadline, outcome);
	// The preload, or another copy of this library, has it already in this very process.
	if (result == LOCKFILE_TAKEN && !lock->lock.mapping && lock->lock.descriptor == -1)
		return EALREADY;
	if (result == LOCKFILE_TAKEN)
		return 0;
	if (result == LOCKFILE_HELD)
		return deadline == 0 ? EWOULDBLOCK : ETIMEDOUT;
	return outcome->error ? outcome->error : EINVAL;
}

// Returns the lock, or NULL and errno; OUTCOME says more.
static struct exclusivelock *acquire(const char *name, uint64_t deadline, struct lockfile_outcome *outcome)
{
	struct exclusivelock *lock = calloc(1, sizeof(*lock));
	int error = 0;

	if (!lock)
		return NULL;
	if (!find_path(lock, name, &outcome->why))
		error = errno;
	else if (!enter(lock))
		error = EALREADY;
	else if ((error = take(lock, deadline, outcome)) != 0)
		withdraw(lock);
	if (error == 0) {
		(void)settle(lock, true);
		return lock;
	}
	free(lock);
	errno = error;
	return NULL;
}

exclusivelock *exclusivelock_try(const char *name)
{
	struct lockfile_outcome outcome = { 0 };

	return acquire(name, 0, &outcome);
}

exclusivelock *exclusivelock_wait(const char *name, double seconds)
{
	struct lockfile_outcome outcome = { 0 };
	uint64_t deadline = UINT64_MAX;

	if (seconds >= 0 && seconds < SECONDS_MAX)
		deadline = pause_clock() + (uint64_t)(seconds * SECOND_NS);
	return acquire(name, deadline, &outcome);
}

void exclusivelock_die(const char *name)
{
	struct lockfile_outcome outcome = { 0 };
	struct exclusivelock *wanted;

	if (acquire(name, 0, &outcome))
		return;	// NOLINT(clang-analyzer-unix.Malloc): it stays among this process' locks
	if (errno != EWOULDBLOCK && errno != EALREADY) {
		report_error(name && name[0] ? name : "the program's lock", outcome.why ? 0 : errno, outcome.why, NULL);
		exit(CONFIG_EXIT_ERROR);
	}
	if (errno == EALREADY)
		outcome.holder = getpid();
	wanted = calloc(1, sizeof(*wanted));
	if (wanted && find_path(wanted, name, &outcome.why))
		report_refused(&wanted->name, outcome.holder);
	exit(1);	// NOLINT(clang-analyzer-unix.Malloc): with the process
}

void exclusivelock_forever(exclusivelock *lock)
{
	// What is held stays among this process' locks until leave_all().
	(void)lock;
}

void exclusivelock_release(exclusivelock *lock)
{
	int error = errno;

	if (!lock)
		return;
	if (settle(lock, false)) {
		lockfile_release(&lock->lock);
		withdraw(lock);
	}
	free(lock);
	errno = error;
}

const char *exclusivelock_path(const exclusivelock *lock)
{
	return lock->path;
}

pid_t exclusivelock_holder(const char *name)
{
	// Too large for the stack of a thread that has little.
	struct exclusivelock *wanted = calloc(1, sizeof(*wanted));
	struct survey survey;
	const char *why;

	if (!wanted || !find_path(wanted, name, &why)) {
		free(wanted);
		return -1;
	}
	survey = survey_look(wanted->path);
	free(wanted);
	if (survey.state == SURVEY_FOREIGN || survey.state == SURVEY_UNREADABLE) {
		errno = survey.state == SURVEY_FOREIGN ? EINVAL : survey.error;
		return -1;
	}
	if (!survey_is_held(survey.state))
		return 0;
	errno = ESRCH;
	return survey.pid > 0 ? survey.pid : -1;
}
