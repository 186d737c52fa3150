// SPDX-License-Identifier: MIT
// The shim's two ends: the constructor that takes the lock before main, and the exit handler that gives it back.
#include "config.h"
#include "descent.h"
#include "environment.h"
#include "lockfile.h"
#include "lockname.h"
#include "mark.h"
#include "pattern.h"
#include "pause.h"
#include "report.h"
#include "seccomp.h"
#include "start.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libexlock.so"
#define LAUNCHER "exlock-launch"
#define DIRECTORY_ADVICE "EXCLUSIVELOCK_DIR can name another directory"
#define UNGUARDED_ADVICE "running unguarded, as EXCLUSIVELOCK_ON_ERROR says"

// Weak, as in start.c. The first is what atexit(3) itself calls; registered with no owner, our handler is the last of all.
extern int __cxa_atexit(void (*handler)(void *), void *argument, void *owner) __attribute__((weak));
extern int __cxa_at_quick_exit(void (*handler)(void *), void *owner) __attribute__((weak));
extern int at_quick_exit(void (*handler)(void)) __attribute__((weak));

// What the start needs to know, on its stack; what the exit needs, in static memory.
struct guard {
	struct start start;
	char *const *environment;
	struct mark mark;
	bool marked;
	struct lockname name;
	char *program;		// PATH_MAX bytes
	bool script;
};

static struct config config;
static struct lockfile lock = { .descriptor = -1 };
static char lock_path[PATH_MAX];
static char log_path[PATH_MAX];

static void leave(void *unused)
{
	static bool left;

	(void)unused;
	// A filter may kill for any system call.
	if (left || seccomp_entered())
		return;
	left = true;
	if (lockfile_leave(&lock))
		report_log(&config, "Released lock at", lock_path);
}

static void leave_quickly(void)
{
	leave(NULL);
}

static void register_handlers(void)
{
	if (__cxa_atexit)
		(void)__cxa_atexit(leave, NULL, NULL);
	if (__cxa_at_quick_exit)
		(void)__cxa_at_quick_exit(leave, NULL);
	else if (at_quick_exit)
		(void)at_quick_exit(leave_quickly);
}

// False: there is no memory for it.
static bool apply(const struct guard *guard, const struct setting *settings, int count)
{
	char **environment = environment_apply(*guard->start.environment, settings, count);

	if (environment)
		*guard->start.environment = environment;
	return environment != NULL;
}

static void export_taken(const struct guard *guard)
{
	struct mark mark = {
		.pid = lock.self.pid,
		.start = lock.self.start,
		.inode = lock.inode,
		.session = lock.self.session,
		.descriptor = lock.keep_descriptor ? lock.descriptor : -1,
	};
	char instance[MARK_MAX], pid[TEXT_NUMBER_MAX];
	struct text text = text_in(pid, sizeof(pid));
	const struct setting settings[] = {
		{ CONFIG_PREFIX "PID", pid },
		{ CONFIG_PREFIX "LOCKFILE", lock_path },
		{ CONFIG_PREFIX "INSTANCE", instance },
		{ CONFIG_PREFIX "HELD", "" },
		{ CONFIG_PREFIX "HOLDER", "" },
	};

	text_number(&text, (uint64_t)mark.pid);
	mark_write(&mark, instance);
	// Without it descendants have no mark, and are known by their ancestors.
	(void)apply(guard, settings, sizeof(settings) / sizeof(*settings));
}

static bool export_flagged(const struct guard *guard, pid_t holder)
{
	char pid[TEXT_NUMBER_MAX];
	struct text text = text_in(pid, sizeof(pid));
	const struct setting settings[] = {
		{ CONFIG_PREFIX "HELD", "1" },
		{ CONFIG_PREFIX "HOLDER", pid },
		{ CONFIG_PREFIX "LOCKFILE", lock_path },
		{ CONFIG_PREFIX "PID", "" },
		{ CONFIG_PREFIX "INSTANCE", "" },
	};

	if (holder > 0)
		text_number(&text, (uint64_t)holder);
	return apply(guard, settings, sizeof(settings) / sizeof(*settings));
}

// Whether EXCLUSIVELOCK_ONLY leaves this program to us. Our own launcher is never to be exclusive, with a preload of the user's
// for what it launches.
static bool is_selected(struct guard *guard)
{
	const char *only = config_get(guard->environment, CONFIG_PREFIX "ONLY");

	if (guard->start.execfn && strcmp(text_basename(guard->start.execfn), LAUNCHER) == 0)
		return false;
	return !only || lockname_of_program(guard->start.execfn, guard->program, &guard->script) == -1 ||
	       pattern_selects(only, guard->program);
}

static void read_config(struct guard *guard)
{
	struct config_error error;

	if (!config_parse(guard->environment, &config, &error)) {
		report_config_error(&error);
		_exit(CONFIG_EXIT_ERROR);
	}
	// The program may write over its environment before we log for the last time.
	if (config.log_path) {
		struct text text = text_in(log_path, sizeof(log_path));

		text_add(&text, config.log_path);
		config.log_path = log_path;
	}
	guard->marked = mark_parse(config_get(guard->environment, CONFIG_PREFIX "INSTANCE"), &guard->mark);
}

// The lock cannot be judged. Returns if the user would rather run unguarded: then with all children, which are not to take the
// lock themselves.
static void stop(const struct guard *guard, const char *what, int error, const char *why, const char *advice)
{
	report_error(what, error, why, config.run_on_error ? UNGUARDED_ADVICE : advice);
	if (!config.run_on_error)
		_exit(CONFIG_EXIT_ERROR);
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

static bool find_path(struct guard *guard)
{
	const char *tmpdir = config_get(guard->environment, "TMPDIR");

	guard->name.text = config.name;
	if (!config.name) {
		if (lockname_of_program(guard->start.execfn, guard->program, &guard->script) == -1) {
			stop(guard, "the program's path", errno, NULL, "EXCLUSIVELOCK_NAME can give the lock a name");
			return false;
		}
		guard->name.text = guard->program;
		if (config.by_args && !guard->start.argv) {
			stop(guard, "the program's arguments", 0, "cannot be told", "EXCLUSIVELOCK_NAME can give the lock a name");
			return false;
		}
		if (config.by_args)
			guard->name.arguments = lockname_arguments(guard->start.argv,
								   guard->script ? guard->start.execfn : NULL);
	}
	if (lockname_path(&guard->name, config.dir, tmpdir, lock_path) == -1) {
		stop(guard, config.dir ? config.dir : tmpdir, errno, NULL, DIRECTORY_ADVICE);
		return false;
	}
	return true;
}

// Whether the mark is about the lock that this program asks for: by that lock's name, or by none. Leaves its path.
static bool find_marked_path(struct guard *guard)
{
	const char *marked = config_get(guard->environment, CONFIG_PREFIX "LOCKFILE");
	struct text text = text_in(lock_path, sizeof(lock_path));
	struct stat status;

	if (!guard->marked || !marked)
		return false;
	if (config.name)
		return find_path(guard) && (strcmp(lock_path, marked) == 0 ||
					    (fstatat(AT_FDCWD, lock_path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
					     status.st_ino == guard->mark.inode));
	if (marked[0] != '/' || !text_begins(text_basename(marked), "py_exclusivelock_"))
		return false;
	text_add(&text, marked);
	guard->name.text = lock_path;
	return !text.cut;
}

// Whether the flock came through exec with a descriptor, and goes on with it.
static bool adopts(const struct guard *guard)
{
	return guard->mark.descriptor >= 0 && lockfile_adopt(&lock, guard->mark.descriptor, guard->mark.inode);
}

static bool is_in_tree(const struct guard *guard)
{
	return config.scope_tree && guard->mark.descriptor >= 0;
}

// Whether this process belongs to the holder that marked it, so that there is nothing to take.
static bool is_descendant(struct guard *guard)
{
	if (guard->mark.pid == getpid() || !find_marked_path(guard))
		return false;
	if (!is_in_tree(guard))
		return descent_by_mark(&guard->mark, lock_path);
	// The descriptor may have been closed between fork and exec.
	if (!adopts(guard) && !(descent_by_mark(&guard->mark, lock_path) && lockfile_share(&lock, guard->mark.inode)))
		return false;
	register_handlers();
	return true;
}

// Its children are to load nothing: they could fight over the name after the holder has gone. In a tree they are to keep
// the lock themselves.
static void pass_by(const struct guard *guard)
{
	if (is_in_tree(guard))
		return;
	if (guard->mark.descriptor >= 0)
		lockfile_disown(guard->mark.descriptor, guard->mark.inode);
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

// A stranger by now, whose holder has gone: with the descriptor that it inherited it would wait for itself.
static void disown_orphaned(const struct guard *guard)
{
	struct stat status;

	if (guard->marked && guard->mark.descriptor >= 0 && !is_in_tree(guard) &&
	    fstatat(AT_FDCWD, lock_path, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_ino == guard->mark.inode)
		lockfile_disown(guard->mark.descriptor, guard->mark.inode);
}

// Whether this process took the lock before it called exec, and asks for no other: whatever it runs now, it goes on.
static bool is_own(struct guard *guard)
{
	return guard->mark.pid == lock.self.pid && guard->mark.start == lock.self.start && find_marked_path(guard);
}

// A process that lost its mark must not be refused by its own ancestors' lock, nor by its siblings.
static bool is_lost_descendant(const struct lockfile_outcome *outcome)
{
	return descent_by_ancestry(outcome->vouched ? outcome->holder : 0, lock_path) ||
	       (!config.name && descent_by_ancestry(0, NULL));
}

static void refuse(const struct guard *guard, pid_t holder)
{
	if (!config.quiet)
		report_refused(&guard->name, holder);
	_exit(config.exit_code);
}

static void held(struct guard *guard, pid_t holder)
{
	if (config.on_held != ON_HELD_FLAG)
		refuse(guard, holder);
	// The program runs because it can see that it is not alone.
	if (!export_flagged(guard, holder)) {
		stop(guard, CONFIG_PREFIX "HELD", ENOMEM, NULL, NULL);
		return;
	}
	// Its children are not to take the lock once the holder has gone.
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

static void taken(const struct guard *guard)
{
	export_taken(guard);
	register_handlers();
	if (!lock.resumed)
		report_log(&config, "Acquired lock at", lock_path);
}

static void take(struct guard *guard, bool own)
{
	bool waits = config.on_held == ON_HELD_WAIT;
	uint64_t now = pause_clock();
	uint64_t deadline = config.timeout_ns < UINT64_MAX - now ? now + config.timeout_ns : UINT64_MAX;
	struct lockfile_outcome outcome;
	enum lockfile_result result = lockfile_try(&lock, !waits, &outcome);

	// A process that has dropped its privileges since, or changed its root, may be unable to reach the file; its PID holds
	// the lock all the same.
	if (result == LOCKFILE_ERROR && own) {
		lock.resumed = true;
		lock.inode = guard->mark.inode;
		result = LOCKFILE_TAKEN;
	}
	if (result != LOCKFILE_TAKEN && is_lost_descendant(&outcome)) {
		pass_by(guard);
		return;
	}
	if (result == LOCKFILE_HELD && waits)
		result = lockfile_wait(&lock, deadline, &outcome);
	if (result == LOCKFILE_TAKEN)
		taken(guard);
	else if (result == LOCKFILE_HELD)
		held(guard, outcome.holder);
	else
		stop(guard, lock_path, outcome.error, outcome.why, DIRECTORY_ADVICE);
}

__attribute__((constructor)) static void start(void)
{
	char program[PATH_MAX];
	struct guard guard = { .program = program, .mark = { .descriptor = -1 } };
	bool own;

	if (!start_find(&guard.start) || guard.start.secure)
		return;
	guard.environment = *guard.start.environment;
	if (!is_selected(&guard))
		return;
	read_config(&guard);
	lock.path = lock_path;
	if (is_descendant(&guard)) {
		pass_by(&guard);
		return;
	}
	lock.self = process_self();
	lock.keep_descriptor = config.scope_tree;
	lock.asked_to_end = config.replaced;
	own = is_own(&guard);
	if (own && adopts(&guard)) {
		lock.keep_descriptor = true;
		taken(&guard);
		return;
	}
	own = own && descent_own(lock_path, &lock.self);
	if (!own && !find_path(&guard))
		return;
	if (!own)
		disown_orphaned(&guard);
	take(&guard, own);
}
