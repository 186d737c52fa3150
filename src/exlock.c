// SPDX-License-Identifier: MIT
// The two ends: the start that takes the lock before main, and the exit handler that gives it back.
#include "exlock.h"

#include "config.h"
#include "descent.h"
#include "environment.h"
#include "handover.h"
#include "hold.h"
#include "lockfile.h"
#include "lockname.h"
#include "mark.h"
#include "pattern.h"
#include "pause.h"
#include "process.h"
#include "rawcall.h"
#include "report.h"
#include "seccomp.h"
#include "start.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libexlock.so"
#define LAUNCHER "exlock-launch"
#define DIRECTORY_ADVICE "EXCLUSIVELOCK_DIR can name another directory"
#define OWN_DIRECTORY_ADVICE "EXCLUSIVELOCK_DIR=user, or exlock-launch --user, takes a directory of your own"
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
	pid_t pid;
	struct lockname name;
	bool script;
	struct lockdir directory;
};

// Each page of memory that is written for the first time costs a start as much as several system calls do. So all that every start
// writes is at the beginning of this, and, being a common symbol, behind the few other variables of the library.
#define ROOM 1536
__attribute__((common)) struct {
	struct lockfile lock;
	struct config config;
	bool registered;	// there may be a lock to give back at the end
	pid_t process;		// this one, by the time it was registered
	pid_t holder;		// 0: this process took the lock; else it passed by as a descendant of that process
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

// Whether this process, or one that it was forked from, passed by as a descendant.
static bool has_passed(void)
{
	return kept.holder != 0;
}

// Asks for no signal as process_alive() does: a filter that this process has inherited may kill for that.
static bool lives(pid_t pid)
{
	struct process_stat status;

	return process_read_stat(pid, &status) == 0 && !process_has_ended(&status);
}

// Whether the parent of this process is none of those that were forked from the one that took the lock: it began before. So this is a daemon, whose
// own parent has gone, and no worker of a daemon's.
static bool is_adopted(void)
{
	struct process_stat parent;

	return process_read_stat(getppid(), &parent) == 0 && process_start(&parent) < kept.lock.self.start;
}

// Whether this process is the one to give the lock back, and is not just one that was forked from it or has passed by. A child by vfork(2) has
// its parent's memory, so nothing is written here.
static bool has_lock(void)
{
	// In a tree who shares the lock does not know who took it.
	pid_t pid = getpid(), taker = has_passed() ? kept.holder : kept.lock.self.pid, parent;

	if (pid == taker)
		return true;
	// The record names another process only once the one that took the lock has ended, even if nobody has waited for it. A copy that passed by
	// hands it on at its own end.
	parent = getppid();
	if (parent == taker || parent == kept.lock.self.pid || (taker != 0 && lives(taker)))
		return false;
	return lockfile_names(&kept.lock, pid) || (!has_passed() && is_adopted());
}

// Once: a second thread that ends the process meanwhile may leave a stale file.
static void give_back(void)
{
	if (has_passed())
		kept.lock.self = process_self();
	if (!__atomic_exchange_n(&kept.left, true, __ATOMIC_RELAXED) && lockfile_leave(&kept.lock))
		report_log(&kept.config, "Released lock at", kept.lock_path);
}

static void leave(void *unused, int status)
{
	(void)unused;
	// A filter may kill for any system call.
	if (kept.left || seccomp_entered() || (has_passed() && !has_lock()))
		return;
	// A child by vfork(2), whose exec has failed, calls exit(3): the handlers that it runs are its parent's, and none would be left for the
	// parent's own end. So this one, the last of all, is put back, and the child ends here; the parent writes what stdio still has.
	// Only who was forked asks: a filter that one of a tree has inherited may kill for the question.
	if (!has_passed() && gnu_get_libc_version && getpid() != kept.process && process_shares_memory()) {
		(void)__cxa_atexit(leave, NULL, NULL);
		rawcall_exit(status);
	}
	give_back();
}

// After _exit(2) no handler of the program's runs, and no signal changes the status. Apart, so that the set is not on the stack of what follows.
__attribute__((noinline)) static void block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

void exlock_end(void)
{
	if (!kept.registered || kept.left || seccomp_entered() || !has_lock())
		return;
	block_signals();
	give_back();
}

static void leave_quickly(void)
{
	leave(NULL, 0);
}

static void register_handlers(pid_t process)
{
	kept.registered = true;
	kept.process = process;
	kept.lock.goes_on = true;
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

static unsigned flags(void)
{
	return (kept.config.scope_tree ? MARK_TREE : 0) | (kept.lock.unwritable ? MARK_STAYS : 0) | (kept.lock.layered ? MARK_LAYERED : 0);
}

static void export_taken(struct guard *guard)
{
	struct mark *mark = &guard->mark;
	int number = kept.lock.keep_descriptor ? kept.lock.descriptor : kept.lock.handed ? kept.lock.handed : -1;
	char instance[MARK_MAX], pid[TEXT_NUMBER_MAX];
	struct text text = text_in(pid, sizeof(pid));
	const struct setting settings[] = {
		{ CONFIG_PREFIX "PID", pid },
		{ CONFIG_PREFIX "LOCKFILE", kept.lock_path },
		{ CONFIG_PREFIX "INSTANCE", instance },
		{ CONFIG_PREFIX "HELD", "" },
		{ CONFIG_PREFIX "HOLDER", "" },
	};

	mark->pid = kept.lock.self.pid;
	mark->start = kept.lock.self.start;
	mark->session = kept.lock.self.session;
	mark->space = kept.lock.self.space;
	mark->lock = (struct mark_descriptor){ number, flags(), kept.lock.device, kept.lock.inode };
	text_number(&text, (uint64_t)mark->pid);
	mark_write(mark, instance);
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

// Our own launcher is never to be exclusive, with a preload of the user's for what it launches.
static bool is_launcher(const struct guard *guard)
{
	return guard->start.execfn && strcmp(text_basename(guard->start.execfn), LAUNCHER) == 0;
}

// Whether EXCLUSIVELOCK_ONLY leaves this program to us.
static bool is_selected(struct guard *guard)
{
	const char *only = config_get(guard->environment, CONFIG_PREFIX "ONLY");

	return !only || lockname_of_program(guard->start.execfn, guard->start.argv, kept.texts, &guard->script) == -1 ||
	       pattern_selects(only, kept.texts);
}

static bool read_mark(struct mark *mark, const char *text)
{
	bool parsed = mark_parse(text, mark);

	if (!parsed) {
		mark->pid = 0;
		mark->lock.number = -1;
		mark->outers = 0;
	}
	return parsed;
}

static void read_config(struct guard *guard)
{
	struct config_error error;

	if (!config_parse(guard->environment, &kept.config, &error)) {
		report_config_error(&error);
		rawcall_exit(CONFIG_EXIT_ERROR);
	}
	// The program may write over its environment before we log for the last time.
	if (kept.config.log_path) {
		struct text text = text_in(kept.log_path, sizeof(kept.log_path));

		text_add(&text, kept.config.log_path);
		kept.config.log_path = kept.log_path;
	}
}

// The lock cannot be judged. Returns if the user would rather run unguarded: then with all children, which are not to take the
// lock themselves.
static void stop(const struct guard *guard, const char *what, int error, const char *why, const char *advice)
{
	if (!kept.config.run_on_error && exlock_before_end)
		exlock_before_end();
	report_error(what, error, why, kept.config.run_on_error ? UNGUARDED_ADVICE : advice);
	if (!kept.config.run_on_error)
		rawcall_exit(CONFIG_EXIT_ERROR);
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

static bool find_path(struct guard *guard)
{
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
	if (lockname_path(&guard->name, kept.config.dir, *guard->start.environment, place_lock_path(), &guard->directory) == -1) {
		stop(guard, kept.config.dir ? kept.config.dir : "the lock directory", errno, NULL, DIRECTORY_ADVICE);
		return false;
	}
	return true;
}

// Whether PATH, of the lock that is asked for, and the MARKED one are of the same name in the default directory, which a chroot may not have.
static bool is_same_name(const char *path, const char *marked)
{
	const char *own = text_basename(path), *other = text_basename(marked), *end = strrchr(own, '.');
	size_t length = end ? (size_t)(end - own) : 0;

	return (!kept.config.dir || kept.config.dir[0] != '/') && length > 0 && strncmp(own, other, length) == 0 && other[length] == '.' &&
	       !strchr(other + length + 1, '.');
}

// Whether the lock that this program asks for by name is that of its mark. HANDED: the mark is beyond doubt, and so is its file, though its
// path may be out of reach.
static bool asks_for_marked(struct guard *guard, const char *marked, bool handed)
{
	struct stat status;

	return find_path(guard) && (strcmp(kept.lock_path, marked) == 0 ||
				    (fstatat(AT_FDCWD, kept.lock_path, &status, AT_SYMLINK_NOFOLLOW) == 0 && mark_is_of(&guard->mark, &status)) ||
				    (handed && is_same_name(kept.lock_path, marked)));
}

// Whether the mark is about the lock that this program asks for: by that lock's name, or by none. Leaves its path.
static bool find_marked_path(struct guard *guard, bool handed)
{
	const char *marked = config_get(guard->environment, CONFIG_PREFIX "LOCKFILE");
	struct text text;

	if (!guard->marked || !marked)
		return false;
	if (kept.config.name && !handed)
		return asks_for_marked(guard, marked, false);
	if (marked[0] != '/' || !text_begins(text_basename(marked), "py_exclusivelock_") ||
	    (kept.config.name && !asks_for_marked(guard, marked, true)))
		return false;
	text = text_in(place_lock_path(), PATH_MAX);
	text_add(&text, marked);
	if (!kept.config.name)
		guard->name.text = kept.lock_path;
	return !text.cut;
}

static bool is_in_tree(const struct guard *guard)
{
	return kept.config.scope_tree && guard->mark.lock.number >= 0;
}

// Whether this process belongs to the holder that marked it, so that there is nothing to take.
static bool is_descendant(struct guard *guard)
{
	if (!guard->marked)
		return false;
	guard->pid = getpid();
	if (guard->mark.pid == guard->pid || !find_marked_path(guard, false))
		return false;
	if (!is_in_tree(guard))
		return descent_by_mark(&guard->mark, kept.lock_path);
	// The descriptor may have been closed between fork and exec.
	if (!lockfile_adopt(&kept.lock, &guard->mark) &&
	    !(descent_by_mark(&guard->mark, kept.lock_path) && lockfile_share(&kept.lock, &guard->mark)))
		return false;
	// At its end it looks for others of the tree: they began after the holder.
	kept.lock.self.start = guard->mark.start;
	register_handlers(guard->pid);
	return true;
}

// What this process starts later is no child of the instance that marked it, and knows no descriptor. The new mark is no longer than the old one.
static void export_passed(const struct guard *guard)
{
	struct mark mark = guard->mark;
	char instance[MARK_MAX];

	mark.session = 0;
	mark.lock.number = -1;
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
		export_passed(guard);
		// It may become the holder: the same program that goes on.
		kept.holder = guard->mark.pid;
		kept.lock.self.pid = guard->pid;
		kept.lock.device = guard->mark.lock.device;
		kept.lock.inode = guard->mark.lock.inode;
		kept.lock.resumed = true;
		register_handlers(guard->pid);
	}
	environment_strip_preload(*guard->start.environment, LIBRARY);
}

// Whether this process took the lock before it called exec, and asks for no other: whatever it runs now, it goes on.
static bool is_own(struct guard *guard)
{
	return guard->mark.pid == kept.lock.self.pid && guard->mark.start == kept.lock.self.start && find_marked_path(guard, false);
}

// A process that lost its mark must not be refused by its own ancestors' lock, nor by its siblings.
static bool is_lost_descendant(const struct lockfile_outcome *outcome)
{
	return outcome->vouched ? descent_from(outcome->holder) : descent_by_record(kept.lock_path);
}

// Without /var/lock two sessions may have two directories, and both their programs run.
static void say_directory(const struct guard *guard)
{
	if (guard->directory.kind == LOCKDIR_TEMPORARY && !kept.config.quiet && !kept.lock.resumed)
		report_temporary(kept.lock_path);
}

static void refuse(const struct guard *guard, pid_t holder)
{
	if (exlock_before_end)
		exlock_before_end();
	say_directory(guard);
	if (!kept.config.quiet)
		report_refused(&guard->name, holder);
	rawcall_exit(kept.config.exit_code);
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

static void taken(struct guard *guard)
{
	export_taken(guard);
	register_handlers(kept.lock.self.pid);
	say_directory(guard);
	if (!kept.lock.resumed)
		report_log(&kept.config, "Acquired lock at", kept.lock_path);
}

static enum lockfile_result try(const struct guard *guard, bool waits, struct lockfile_outcome *outcome)
{
	kept.lock.own_directory = guard->directory.kind == LOCKDIR_OWN;
	if (!guard->directory.why)
		return lockfile_try(&kept.lock, !waits, outcome);
	*outcome = (struct lockfile_outcome){ .why = guard->directory.why };
	return LOCKFILE_ERROR;
}

// Where ordinary users can make no file in /var/lock, they need another directory.
static const char *directory_advice(const struct guard *guard, int error)
{
	struct stat status;

	return error == EACCES && guard->directory.kind == LOCKDIR_SYSTEM &&
	       fstatat(AT_FDCWD, kept.lock_path, &status, AT_SYMLINK_NOFOLLOW) == -1 ? OWN_DIRECTORY_ADVICE : DIRECTORY_ADVICE;
}

static void take(struct guard *guard, bool own)
{
	bool waits = kept.config.on_held == ON_HELD_WAIT;
	uint64_t now = waits ? pause_clock() : 0;
	uint64_t deadline = kept.config.timeout_ns < UINT64_MAX - now ? now + kept.config.timeout_ns : UINT64_MAX;
	struct lockfile_outcome outcome;
	enum lockfile_result result = try(guard, waits, &outcome);

	// A process that has dropped its privileges since, or changed its root, may be unable to reach the file; its PID holds
	// the lock all the same.
	if (result == LOCKFILE_ERROR && own) {
		kept.lock.resumed = true;
		kept.lock.device = guard->mark.lock.device;
		kept.lock.inode = guard->mark.lock.inode;
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
		stop(guard, kept.lock_path, outcome.error, outcome.why, directory_advice(guard, outcome.error));
}

// This process is not to keep the lock of another one.
static void disown(struct mark *mark)
{
	if (handover_look(mark, &mark->lock) == HANDOVER_INHERITED)
		(void)close(mark->lock.number);
	mark->lock.number = -1;
}

// What a launcher left open for this process is taken over whoever is meant, and closed where it is another process'. Returns whether the
// innermost lock was handed over.
static bool receive(struct guard *guard)
{
	struct mark *mark = &guard->mark;
	enum handover whose;

	handover_settle_outer(mark);
	whose = handover_look(mark, &mark->lock);
	if (whose == HANDOVER_OWN) {
		kept.lock.self = (struct process_self){ .pid = mark->pid, .session = mark->session, .start = mark->start, .space = mark->space };
		hold_adopt(&kept.lock, &mark->lock);
	} else if (!(mark->lock.flags & MARK_TREE)) {
		disown(mark);
	}
	return whose == HANDOVER_OWN;
}

// Another lock is asked for; the one that was handed over stays this process' until it ends, or that of all descendants.
static void set_aside(struct guard *guard)
{
	if (kept.lock.keep_descriptor)
		(void)mark_add_outer(&guard->mark, &guard->mark.lock);
	kept.lock = (struct lockfile){ .descriptor = -1 };
	guard->marked = false;
	guard->mark.pid = 0;
	guard->mark.lock.number = -1;
}

static void begin(void)
{
	kept.lock.self = process_self();
	kept.lock.keep_descriptor = kept.config.scope_tree;
	kept.lock.asked_to_end = kept.config.replaced;
}

void exlock_start(void)
{
	struct guard guard = { .mark = { .lock.number = -1 } };
	bool handed = false, own;

	if (!start_find(&guard.start) || guard.start.secure || is_launcher(&guard))
		return;
	guard.environment = config_own(*guard.start.environment, guard.own);
	guard.marked = read_mark(&guard.mark, config_get(guard.environment, CONFIG_PREFIX "INSTANCE"));
	kept.lock.descriptor = -1;
	if (guard.marked)
		handed = receive(&guard);
	if (!handed && !is_selected(&guard))
		return;
	read_config(&guard);
	if (handed && find_marked_path(&guard, true)) {
		taken(&guard);
		return;
	}
	if (handed)
		set_aside(&guard);
	else if (!kept.config.scope_tree)
		disown(&guard.mark);
	if (is_descendant(&guard)) {
		pass_by(&guard);
		return;
	}
	begin();
	own = is_own(&guard);
	if (own && lockfile_resume(&kept.lock)) {
		taken(&guard);
		return;
	}
	own = own && descent_own(kept.lock_path, &kept.lock.self);
	if (own || find_path(&guard))
		take(&guard, own);
}

void exlock_take(const char *outer, bool hands_over)
{
	struct guard guard = { .mark = { .lock.number = -1 } };
	struct mark around;

	if (!start_find(&guard.start) || guard.start.secure)
		return;
	guard.environment = config_own(*guard.start.environment, guard.own);
	read_config(&guard);
	kept.lock.descriptor = -1;
	begin();
	kept.lock.hands_over = hands_over;
	if (!find_path(&guard))
		return;
	if (mark_parse(outer, &around))
		kept.lock.inherited = handover_bring(&around, kept.lock_path, &guard.mark);
	take(&guard, false);
}

bool exlock_is_taken(void)
{
	return kept.registered;
}

bool exlock_lasts(void)
{
	return kept.lock.resumed || kept.lock.recorded || (kept.lock.keep_descriptor && kept.lock.descriptor != -1);
}
