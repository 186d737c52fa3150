// SPDX-License-Identifier: MIT
// The two ends: the start that takes the lock before main, and the exit handler that gives it back.
#include "exlock.h"

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
// glibc's gives the handler the status, too, and glibc is known by a function that only it has.
extern int __cxa_atexit(void (*handler)(void *, int), void *argument, void *owner) __attribute__((weak));
extern int __cxa_at_quick_exit(void (*handler)(void *, int), void *owner) __attribute__((weak));
extern int at_quick_exit(void (*handler)(void)) __attribute__((weak));
extern const char *gnu_get_libc_version(void) __attribute__((weak));

// What the start needs to know, on its stack; what the exit needs, in static memory.
struct guard {
	struct start start;
	char *const *environment;	// what of it is about us
	char *own[CONFIG_OWN + 1];
	struct mark mark;
	bool marked;
	struct lockname name;
	bool script;
};

// Each page of memory that is written for the first time costs a start as much as several system calls do. So all that every start
// writes is at the beginning of this, and, being a common symbol, behind the few other variables of the library.
#define ROOM 1536
__attribute__((common)) struct {
	struct lockfile lock;
	struct config config;
	bool left;
	char *lock_path;
	char texts[2 * PATH_MAX + ROOM];	// the program's path, the lock file's, new variables of the environment: one behind the other
	char log_path[PATH_MAX];
} kept;

void (*exlock_before_end)(void);

static char *behind(char *text)
{
	return text + strlen(text) + 1;
}

// Where the lock file's path is to be written: behind the program's, if that was wanted.
static char *place_lock_path(void)
{
	kept.lock_path = behind(kept.texts);
	kept.lock.path = kept.lock_path;
	return kept.lock_path;
}

static void leave(void *unused, int status)
{
	(void)unused;
	// A filter may kill for any system call.
	if (kept.left || seccomp_entered())
		return;
	// A child by vfork(2), whose exec has failed, calls exit(3): the handlers that it runs are its parent's, and none would be left for the
	// parent's own end. So this one, the last of all, is put back, and the child ends here; the parent writes what stdio still has.
	if (gnu_get_libc_version && getpid() != kept.lock.self.pid && process_shares_memory()) {
		(void)__cxa_atexit(leave, NULL, NULL);
		_exit(status);
	}
	kept.left = true;
	if (lockfile_leave(&kept.lock))
		report_log(&kept.config, "Released lock at", kept.lock_path);
}

static void leave_quickly(void)
{
	leave(NULL, 0);
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

// Once in a start. False: there is no memory for it.
static bool apply(const struct guard *guard, const struct setting *settings, int count)
{
	char *start = behind(kept.lock_path);
	struct environment_room room = { start, sizeof(kept.texts) - (size_t)(start - kept.texts) };
	char **environment = environment_apply(*guard->start.environment, settings, count, &room);

	if (environment)
		*guard->start.environment = environment;
	return environment != NULL;
}

static void export_taken(const struct guard *guard)
{
	struct mark mark = {
		.pid = kept.lock.self.pid,
		.start = kept.lock.self.start,
		.device = kept.lock.device,
		.inode = kept.lock.inode,
		.session = kept.lock.self.session,
		.descriptor = kept.lock.keep_descriptor ? kept.lock.descriptor : -1,
	};
	char instance[MARK_MAX], pid[TEXT_NUMBER_MAX];
	struct text text = text_in(pid, sizeof(pid));
	const struct setting settings[] = {
		{ CONFIG_PREFIX "PID", pid },
		{ CONFIG_PREFIX "LOCKFILE", kept.lock_path },
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
		{ CONFIG_PREFIX "LOCKFILE", kept.lock_path },
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
	return !only || lockname_of_program(guard->start.execfn, guard->start.argv, kept.texts, &guard->script) == -1 ||
	       pattern_selects(only, kept.texts);
}

static void read_config(struct guard *guard)
{
	struct config_error error;

	if (!config_parse(guard->environment, &kept.config, &error)) {
		report_config_error(&error);
		_exit(CONFIG_EXIT_ERROR);
	}
	// The program may write over its environment before we log for the last time.
	if (kept.config.log_path) {
		struct text text = text_in(kept.log_path, sizeof(kept.log_path));

		text_add(&text, kept.config.log_path);
		kept.config.log_path = kept.log_path;
	}
	guard->marked = mark_parse(config_get(guard->environment, CONFIG_PREFIX "INSTANCE"), &guard->mark);
}

// The lock cannot be judged. Returns if the user would rather run unguarded: then with all children, which are not to take the
// lock themselves.
static void stop(const struct guard *guard, const char *what, int error, const char *why, const char *advice)
{
	if (!kept.config.run_on_error && exlock_before_end)
		exlock_before_end();
	report_error(what, error, why, kept.config.run_on_error ? UNGUARDED_ADVICE : advice);
	if (!kept.config.run_on_error)
		_exit(CONFIG_EXIT_ERROR);
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

static bool find_path(struct guard *guard)
{
	const char *tmpdir = config_get(*guard->start.environment, "TMPDIR");

	guard->name.text = kept.config.name;
	if (!kept.config.name) {
		if (lockname_of_program(guard->start.execfn, guard->start.argv, kept.texts, &guard->script) == -1) {
			stop(guard, "the program's path", errno, NULL, "EXCLUSIVELOCK_NAME can give the lock a name");
			return false;
		}
		guard->name.text = kept.texts;
		if (kept.config.by_args && !guard->start.argv) {
			stop(guard, "the program's arguments", 0, "cannot be told", "EXCLUSIVELOCK_NAME can give the lock a name");
			return false;
		}
		if (kept.config.by_args)
			guard->name.arguments = lockname_arguments(guard->start.argv,
								   guard->script ? guard->start.execfn : NULL);
	}
	if (lockname_path(&guard->name, kept.config.dir, tmpdir, place_lock_path()) == -1) {
		stop(guard, kept.config.dir ? kept.config.dir : tmpdir, errno, NULL, DIRECTORY_ADVICE);
		return false;
	}
	return true;
}

// Whether the mark is about the lock that this program asks for: by that lock's name, or by none. Leaves its path.
static bool find_marked_path(struct guard *guard)
{
	const char *marked = config_get(guard->environment, CONFIG_PREFIX "LOCKFILE");
	struct text text = text_in(place_lock_path(), PATH_MAX);
	struct stat status;

	if (!guard->marked || !marked)
		return false;
	if (kept.config.name)
		return find_path(guard) && (strcmp(kept.lock_path, marked) == 0 ||
					    (fstatat(AT_FDCWD, kept.lock_path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
					     mark_is_of(&guard->mark, &status)));
	if (marked[0] != '/' || !text_begins(text_basename(marked), "py_exclusivelock_"))
		return false;
	text_add(&text, marked);
	guard->name.text = kept.lock_path;
	return !text.cut;
}

static bool is_in_tree(const struct guard *guard)
{
	return kept.config.scope_tree && guard->mark.descriptor >= 0;
}

// Whether this process belongs to the holder that marked it, so that there is nothing to take.
static bool is_descendant(struct guard *guard)
{
	if (guard->mark.pid == getpid() || !find_marked_path(guard))
		return false;
	if (!is_in_tree(guard))
		return descent_by_mark(&guard->mark, kept.lock_path);
	// The descriptor may have been closed between fork and exec.
	if (!lockfile_adopt(&kept.lock, &guard->mark) &&
	    !(descent_by_mark(&guard->mark, kept.lock_path) && lockfile_share(&kept.lock, &guard->mark)))
		return false;
	// At its end it looks for others of the tree: they began after the holder.
	kept.lock.self.start = guard->mark.start;
	register_handlers();
	return true;
}

// What this process starts later is no child of the instance that marked it, and knows no descriptor. The new mark is no longer than the old one.
static void export_passed(const struct guard *guard)
{
	struct mark mark = guard->mark;
	char instance[MARK_MAX];

	mark.session = 0;
	mark.descriptor = -1;
	mark_write(&mark, instance);
	(void)apply(guard, &(struct setting){ CONFIG_PREFIX "INSTANCE", instance }, 1);
}

// Its children are to load nothing: they could fight over the name after the holder has gone. In a tree they are to keep
// the lock themselves.
static void pass_by(const struct guard *guard)
{
	if (is_in_tree(guard))
		return;
	if (guard->marked) {
		lockfile_disown(&guard->mark);
		export_passed(guard);
	}
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

// A stranger by now, whose holder has gone: with the descriptor that it inherited it would wait for itself.
static void disown_orphaned(const struct guard *guard)
{
	struct stat status;

	if (guard->marked && guard->mark.descriptor >= 0 && !is_in_tree(guard) &&
	    fstatat(AT_FDCWD, kept.lock_path, &status, AT_SYMLINK_NOFOLLOW) == 0 && mark_is_of(&guard->mark, &status))
		lockfile_disown(&guard->mark);
}

// Whether this process took the lock before it called exec, and asks for no other: whatever it runs now, it goes on.
static bool is_own(struct guard *guard)
{
	return guard->mark.pid == kept.lock.self.pid && guard->mark.start == kept.lock.self.start && find_marked_path(guard);
}

// Whether the lock that it took goes on, by the descriptor that it kept or by the flock, taken again.
static bool resumes(const struct guard *guard)
{
	if (!lockfile_adopt(&kept.lock, &guard->mark))
		return lockfile_resume(&kept.lock);
	kept.lock.keep_descriptor = true;
	return true;
}

// A process that lost its mark must not be refused by its own ancestors' lock, nor by its siblings.
static bool is_lost_descendant(const struct lockfile_outcome *outcome)
{
	return outcome->vouched ? descent_from(outcome->holder) : descent_by_record(kept.lock_path);
}

static void refuse(const struct guard *guard, pid_t holder)
{
	if (exlock_before_end)
		exlock_before_end();
	if (!kept.config.quiet)
		report_refused(&guard->name, holder);
	_exit(kept.config.exit_code);
}

static void held(struct guard *guard, pid_t holder)
{
	if (kept.config.on_held != ON_HELD_FLAG)
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
	if (!kept.lock.resumed)
		report_log(&kept.config, "Acquired lock at", kept.lock_path);
}

static void take(struct guard *guard, bool own)
{
	bool waits = kept.config.on_held == ON_HELD_WAIT;
	uint64_t now = waits ? pause_clock() : 0;
	uint64_t deadline = kept.config.timeout_ns < UINT64_MAX - now ? now + kept.config.timeout_ns : UINT64_MAX;
	struct lockfile_outcome outcome;
	enum lockfile_result result = lockfile_try(&kept.lock, !waits, &outcome);

	// A process that has dropped its privileges since, or changed its root, may be unable to reach the file; its PID holds
	// the lock all the same.
	if (result == LOCKFILE_ERROR && own) {
		kept.lock.resumed = true;
		kept.lock.device = guard->mark.device;
		kept.lock.inode = guard->mark.inode;
		result = LOCKFILE_TAKEN;
	}
	if (result != LOCKFILE_TAKEN && is_lost_descendant(&outcome)) {
		pass_by(guard);
		return;
	}
	if (result == LOCKFILE_HELD && waits)
		result = lockfile_wait(&kept.lock, deadline, &outcome);
	if (result == LOCKFILE_TAKEN)
		taken(guard);
	else if (result == LOCKFILE_HELD)
		held(guard, outcome.holder);
	else
		stop(guard, kept.lock_path, outcome.error, outcome.why, DIRECTORY_ADVICE);
}

void exlock_start(bool preloaded)
{
	struct guard guard = { .mark = { .descriptor = -1 } };
	bool own;

	if (!start_find(&guard.start) || guard.start.secure)
		return;
	guard.environment = config_own(*guard.start.environment, guard.own);
	if (preloaded && !is_selected(&guard))
		return;
	read_config(&guard);
	kept.lock.descriptor = -1;
	if (is_descendant(&guard)) {
		pass_by(&guard);
		return;
	}
	kept.lock.self = process_self();
	kept.lock.keep_descriptor = kept.config.scope_tree;
	kept.lock.brief = !preloaded;
	kept.lock.asked_to_end = kept.config.replaced;
	own = is_own(&guard);
	if (own && resumes(&guard)) {
		taken(&guard);
		return;
	}
	own = own && descent_own(kept.lock_path, &kept.lock.self);
	if (!own && !find_path(&guard))
		return;
	if (!own)
		disown_orphaned(&guard);
	take(&guard, own);
}

bool exlock_lasts(void)
{
	return kept.lock.resumed || kept.lock.recorded || (kept.lock.keep_descriptor && kept.lock.descriptor != -1);
}
