// SPDX-License-Identifier: MIT
#include "exclusivelock.h"

#include "config.h"
#include "exclusivelocklook.h"
#include "exclusivelockpath.h"
#include "hold.h"
#include "lockdir.h"
#include "lockfile.h"
#include "pause.h"
#include "process.h"
#include "record.h"
#include "report.h"
#include "scratch.h"
#include "waiter.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS 1e9
// Above this, in seconds, a time is no limit.
#define SECONDS_MAX 9e9

// One share of a lock in this process, or a thread that waits for one.
struct exclusivelock {
	struct exclusivelock *next;
	struct lockfile lock;
	struct waiter *waiter;		// of the thread that waits; NULL: the lock is taken
	unsigned long taker;		// see this_thread()
	bool forever;
	bool joined;			// the process' own lock, by the preload or the launcher, which gives it back
	char path[];
};

// What atexit(3) itself calls; with no owner, the handler is the last of all.
extern int __cxa_atexit(void (*handler)(void *), void *argument, void *owner);

// The locks of this process, by this mutex. Whoever takes or releases one has it, and a fork waits for it: so a child never has half of
// something. A thread that waits for a lock has not got it, and is no part of a child (waiter.h).
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct exclusivelock *locks;

// With the mutex no signal handler may run, which could fork, and nothing may be cancelled.
struct section {
	sigset_t signals;
	int cancel_state;
};

static void enter(struct section *section)
{
	sigset_t all;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &section->cancel_state);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &section->signals);
	(void)pthread_mutex_lock(&mutex);
}

static void leave(const struct section *section)
{
	int ignored;

	(void)pthread_mutex_unlock(&mutex);
	(void)pthread_sigmask(SIG_SETMASK, &section->signals, NULL);
	(void)pthread_setcancelstate(section->cancel_state, &ignored);
}

// Of the thread that forks.
static struct section fork_section;

static void before_fork(void)
{
	struct section section;

	enter(&section);
	fork_section = section;
}

static void after_fork(void)
{
	const struct section section = fork_section;

	leave(&section);
}

// The child has a share of all that was taken, and nothing of what its parent's threads wait for.
static void after_fork_in_child(void)
{
	struct exclusivelock **at = &locks;

	while (*at) {
		struct exclusivelock *lock = *at;

		if (lock->waiter) {
			*at = lock->next;
			waiter_orphan(lock->waiter);
		} else {
			at = &lock->next;
		}
	}
	after_fork();
}

// At the end of the process. A child by vfork(2) has its parent's memory: what it gave back there the parent would lose. Without a lock no
// system call is made: under seccomp(2) it could end the process before its output is written.
static void leave_all(void *unused)
{
	struct section section;

	(void)unused;
	if (!locks)
		return;
	if (locks->lock.self.pid != getpid() && process_shares_memory())
		return;
	enter(&section);
	for (struct exclusivelock *lock = locks; lock; lock = lock->next)
		if (!lock->waiter && !lock->joined)
			(void)lockfile_leave(&lock->lock);
	leave(&section);
}

__attribute__((constructor)) static void prepare(void)
{
	(void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
	(void)__cxa_atexit(leave_all, NULL, NULL);
}

// The calling thread's number. A thread that has ended leaves its pthread_t to a later one, and may have left its lock to another.
static unsigned long this_thread(void)
{
	static __thread __attribute__((tls_model("initial-exec"))) unsigned long own;

	if (own == 0) {
		static unsigned long last;

		own = ++last;
	}
	return own;
}

// Returns a lock that is not taken yet, or NULL and errno.
static struct exclusivelock *create(const char *name, const char *directory, const char **why)
{
	char *path = scratch_get();
	struct exclusivelock *lock = NULL;
	bool own = false;

	if (path && exclusivelockpath_find(name, directory, path, why, &own))
		lock = calloc(1, sizeof(*lock) + strlen(path) + 1);
	if (lock) {
		lock->taker = this_thread();
		strcpy(lock->path, path);	// NOLINT(clang-analyzer-security.insecureAPI.strcpy): there is room for it
		lock->lock = (struct lockfile){ .path = lock->path, .self = process_self(), .descriptor = -1, .threads = true, .own_directory = own };
	}
	scratch_free(path);
	return lock;
}

static struct exclusivelock *find(const char *path)
{
	struct exclusivelock *lock = locks;

	while (lock && (lock->waiter || strcmp(lock->path, path) != 0))
		lock = lock->next;
	return lock;
}

static bool has_waiter(const char *path)
{
	const struct exclusivelock *lock = locks;

	while (lock && !(lock->waiter && strcmp(lock->path, path) == 0))
		lock = lock->next;
	return lock != NULL;
}

static void add(struct exclusivelock *lock)
{
	lock->next = locks;
	locks = lock;
}

static void withdraw(const struct exclusivelock *lock)
{
	struct exclusivelock **at = &locks;

	while (*at && *at != lock)
		at = &(*at)->next;
	if (*at)
		*at = lock->next;
}

// Whether the file is this process' already, by another path.
static bool has_file(const struct lockfile *file)
{
	const struct exclusivelock *lock = locks;

	while (lock && (lock->waiter || lock->lock.device != file->device || lock->lock.inode != file->inode))
		lock = lock->next;
	return lock != NULL;
}

// Whether the launcher or the preload has taken the file for this very process, whatever keeps it now. The environment names the
// instance; that it still holds, the record has to say.
static bool is_guarded_by(const struct lockfile *lock, struct stat *status)
{
	const char *text = secure_getenv(CONFIG_PREFIX "INSTANCE");
	struct record record;
	struct mark mark;

	return mark_parse(text, &mark) && mark.pid == lock->self.pid && mark.start == lock->self.start &&
	       record_peek(lock->path, &record, status) == 0 && mark_is_of(&mark, status) && record_is_of(&record, &lock->self);
}

static int join(struct exclusivelock *lock, dev_t device, ino_t inode)
{
	lock->lock.device = device;
	lock->lock.inode = inode;
	if (has_file(&lock->lock))
		return EALREADY;
	lock->joined = true;
	return 0;
}

// What this process has of the lock by now decides. Returns 0: nothing. EDEADLK: a share of another process' lock.
static int judge_own(struct exclusivelock *own, struct lockfile_outcome *outcome)
{
	if (!own)
		return 0;
	if (lockfile_is_own(&own->lock, &outcome->holder)) {
		outcome->holder = getpid();
		return EALREADY;
	}
	return EDEADLK;
}

// Takes LOCK if it is free. Returns 0, or an errno.
static int take(struct exclusivelock *lock, bool patient, struct lockfile_outcome *outcome)
{
	struct lockfile *file = &lock->lock;
	enum lockfile_result result;
	struct stat status;

	if (is_guarded_by(file, &status))
		return join(lock, status.st_dev, status.st_ino);
	file->rivals = has_waiter(lock->path);
	result = lockfile_try(file, patient, outcome);
	if (result == LOCKFILE_HELD)
		return file->rivals && outcome->holder == file->self.pid ? EALREADY : EWOULDBLOCK;
	if (result == LOCKFILE_ERROR)
		return outcome->error ? outcome->error : EINVAL;
	// The preload, or another copy of this library, has it already in this very process.
	if (!file->mapping && file->descriptor == -1)
		return join(lock, file->device, file->inode);
	lockfile_map_record(file, -1);
	return 0;
}

// The thread's descriptor, in the program's table by now, keeps the lock from here on.
static void keep(struct lockfile *lock, int descriptor)
{
	struct claim claim = { .held = descriptor, .fd = descriptor };

	lock->descriptor = -1;
	lockfile_map_record(lock, descriptor);
	if (fstat(descriptor, &claim.status) == 0)
		hold_keep(lock, &claim);
}

static int finish(struct exclusivelock *lock)
{
	int descriptor, error;
	enum lockfile_result result = waiter_finish(lock->waiter, &descriptor, &error);

	if (result == LOCKFILE_HELD)
		return ETIMEDOUT;
	if (result == LOCKFILE_ERROR || descriptor == -1)
		return error ? error : EINVAL;
	keep(&lock->lock, descriptor);
	return 0;
}

static void cancel(void *context)
{
	struct exclusivelock *lock = context;
	struct section section;

	waiter_give_up(lock->waiter);
	enter(&section);
	withdraw(lock);
	leave(&section);
	free(lock);
}

// Between two sections: sleeps until there is a result. Returns 0, or EINTR.
static int sleep_outside(struct exclusivelock *lock, struct section *section)
{
	int error, type, ignored;

	(void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	pthread_cleanup_push(cancel, lock);
	leave(section);
	error = waiter_sleep(lock->waiter);
	enter(section);
	pthread_cleanup_pop(0);
	(void)pthread_setcanceltype(type, &ignored);
	return error;
}

// Waits for LOCK, which somebody holds: this process, if OWN is not NULL. Returns 0, or an errno.
static int wait_for(struct exclusivelock *lock, const struct exclusivelock *own, uint64_t deadline, const struct lockfile_outcome *outcome, struct section *section)
{
	struct waiter waiter;
	int error;

	lock->lock.rivals = own != NULL;
	error = waiter_start(&waiter, &lock->lock, deadline, outcome);
	if (error != 0)
		return error;
	lock->waiter = &waiter;
	add(lock);
	error = sleep_outside(lock, section);
	if (error == 0)
		error = finish(lock);
	else
		waiter_give_up(&waiter);
	withdraw(lock);
	lock->waiter = NULL;
	return error;
}

// Whether a thread of this process has the lock that will let go of it: then others queue, as other processes do.
static bool can_queue(const struct exclusivelock *own)
{
	return own && !own->forever && !own->joined && own->taker != this_thread();
}

static int acquire_in(struct section *section, struct exclusivelock *lock, uint64_t deadline, struct lockfile_outcome *outcome)
{
	struct exclusivelock *own = find(lock->path);
	int error = judge_own(own, outcome);

	if (error == 0)
		error = take(lock, deadline == 0, outcome);
	else if (error == EDEADLK && deadline == 0)
		return EWOULDBLOCK;
	// EALREADY without a lock among ours: a thread that waits has just got it.
	if (deadline != 0 && (error == EWOULDBLOCK || (error == EALREADY && (!own || can_queue(own)))))
		error = wait_for(lock, own, deadline, outcome, section);
	if (error == 0)
		add(lock);
	return error;
}

// Returns the lock, or NULL and errno; OUTCOME says more.
static struct exclusivelock *acquire(const char *name, const char *directory, uint64_t deadline, struct lockfile_outcome *outcome)
{
	int before = errno, error;
	struct exclusivelock *lock;
	struct section section;

	enter(&section);
	lock = create(name, directory, &outcome->why);
	error = lock ? acquire_in(&section, lock, deadline, outcome) : errno;
	if (error != 0) {
		free(lock);
		lock = NULL;
	}
	leave(&section);
	errno = lock ? before : error;
	return lock;
}

// When a wait of SECONDS is over.
static uint64_t deadline_of(double seconds)
{
	return seconds >= 0 && seconds < SECONDS_MAX ? pause_clock() + (uint64_t)(seconds * SECOND_NS) : UINT64_MAX;
}

exclusivelock *exclusivelock_try(const char *name)
{
	struct lockfile_outcome outcome = { 0 };

	return acquire(name, NULL, 0, &outcome);
}

exclusivelock *exclusivelock_wait(const char *name, double seconds)
{
	struct lockfile_outcome outcome = { 0 };

	if (!isnan(seconds))
		return acquire(name, NULL, deadline_of(seconds), &outcome);
	errno = EINVAL;
	return NULL;
}

exclusivelock *exclusivelock_open(const char *name, const struct exclusivelock_options *given)
{
	struct exclusivelock_options options;
	struct lockfile_outcome outcome = { 0 };

	if (!exclusivelockpath_options(given, &options))
		return NULL;
	if (!isnan(options.patience))
		return acquire(name, options.directory, options.patience == 0 ? 0 : deadline_of(options.patience), &outcome);
	errno = EINVAL;
	return NULL;
}

exclusivelock *exclusivelock_or_die(const char *name)
{
	struct lockfile_outcome outcome = { 0 };
	exclusivelock *lock = acquire(name, NULL, 0, &outcome);

	if (lock)
		return lock;
	if (errno != EWOULDBLOCK && errno != EALREADY) {
		report_error(name && name[0] ? name : "the program's lock", outcome.why ? 0 : errno, outcome.why, NULL);
		exit(CONFIG_EXIT_ERROR);
	}
	report_refused(&(struct lockname){ .text = exclusivelockpath_text(name) }, outcome.holder);
	exit(1);
}

void exclusivelock_die(const char *name)
{
	exclusivelock_forever(exclusivelock_or_die(name));
}

void exclusivelock_forever(exclusivelock *lock)
{
	struct section section;

	if (!lock)
		return;
	enter(&section);
	lock->forever = true;
	leave(&section);
}

int exclusivelock_release(exclusivelock *lock)
{
	int before = errno, error = 0;
	struct section section;

	if (!lock)
		return 0;
	enter(&section);
	if (!lock->joined && lockfile_release(&lock->lock) == -1)
		error = errno;
	else
		withdraw(lock);
	leave(&section);
	if (error == 0)
		free(lock);
	errno = error == 0 ? before : error;
	return error == 0 ? 0 : -1;
}

const char *exclusivelock_path(const exclusivelock *lock)
{
	if (!lock)
		errno = EINVAL;
	return lock ? lock->path : NULL;
}

pid_t exclusivelocklook_own(const char *path)
{
	struct section section;
	struct exclusivelock *own;
	pid_t pid = 0;

	enter(&section);
	own = find(path);
	if (own && lockfile_is_own(&own->lock, &pid))
		pid = getpid();
	leave(&section);
	return pid;
}
