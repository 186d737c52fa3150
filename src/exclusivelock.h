// SPDX-License-Identifier: MIT
// libexclusivelock: the lock of libexlock.so for programs that can be changed. The same lock files, the same exclusion:
// of programs under the preload or exlock-launch, of Python's `exclusiveprocess`, and of flock(1).
//
//	int main(void)
//	{
//		EXCLUSIVELOCK_SCOPE(lock, "nightly");
//		if (!lock)
//			return 1;	// errno says why
//		...			// given back when the block is left
//	}
//
// NAME is a lock's name, any bytes. NULL or "" is the calling program's path without symlinks, as the preload derives it when the program
// starts. The lock files are in EXCLUSIVELOCK_DIR, or by default in /var/lock.
//
// The rules:
//  1. A lock has one owner, a process: the one whose PID is in the lock file. The process that takes the lock is the owner.
//  2. fork gives the child a share of each lock that its parent has. The name is free when every process that has a share has released
//     it or ended. exec ends a share, but not the owner's claim: its PID holds the lock until it ends, or takes the lock again.
//  3. When the owner has ended or released the lock, a process with a share becomes the owner at its next call. So a daemon owns what its
//     parent took.
//  4. Only the owner's release frees the name. Any other process' release ends that process' share.
//  5. Threads have no part in this. The lock is the process': any of its threads may release it. Threads that want one lock queue in
//     exclusivelock_wait() as processes do.
//  6. What waits has nothing yet. A child that is forked during a wait, by whatever call, has no part of it.
//  7. Under exlock-launch or the preload with the same name, the process already owns the lock. It joins: it gets a handle, and the name is
//     free when the handle is released and the process has ended.
//
// Any thread may call any function. None may be called from a signal handler. Only exclusivelock_wait() and exclusivelock_open() are
// cancellation points; a cancelled wait leaves nothing. On success errno is as it was before.
//
// Names that begin with exclusivelock_ or EXCLUSIVELOCK_ are this library's. For C++ there is exclusivelock.hpp beside it.
#ifndef EXCLUSIVELOCK_H
#define EXCLUSIVELOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The version of this header: 0xMMmmpp, so that versions can be compared. A program that needs a function of a later library does not start
// with an older one.
#define EXCLUSIVELOCK_VERSION 0x000100
#define EXCLUSIVELOCK_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EXCLUSIVELOCK_API __attribute__((visibility("default")))
#define EXCLUSIVELOCK_RESULT EXCLUSIVELOCK_API __attribute__((warn_unused_result))
#define EXCLUSIVELOCK_NEEDS(argument) __attribute__((nonnull(argument)))
#define EXCLUSIVELOCK_NEVER_NULL __attribute__((returns_nonnull))
#else
#define EXCLUSIVELOCK_API
#define EXCLUSIVELOCK_RESULT
#define EXCLUSIVELOCK_NEEDS(argument)
#define EXCLUSIVELOCK_NEVER_NULL
#endif

// So gcc -fanalyzer sees a lock that is lost. exclusivelock_release() is not named: where it fails, the lock is still there.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define EXCLUSIVELOCK_LOCK EXCLUSIVELOCK_RESULT __attribute__((malloc, malloc(exclusivelock_forever, 1)))
#else
#define EXCLUSIVELOCK_LOCK EXCLUSIVELOCK_RESULT
#endif

typedef struct exclusivelock exclusivelock;

// How a lock is taken. Set SIZE to the size of this struct, and all that is not needed to 0: later versions add fields at the end. The
// library says E2BIG if a field is set that it does not know.
struct exclusivelock_options {
	size_t size;
	const char *directory;	// of the lock files: absolute, or "user"; NULL: of EXCLUSIVELOCK_DIR, or the default
	double patience;	// seconds to wait for the lock; 0: do not wait; negative: wait without limit
};

#define EXCLUSIVELOCK_COMMAND_SIZE 256

// What is known of a lock. Set SIZE to the size of this struct. Fields that the library does not know are set to 0.
struct exclusivelock_status {
	size_t size;
	int64_t since;		// when its lock file was written: seconds since 1970; 0: not known
	pid_t pid;		// who holds it; 0: nobody; -1: a process that cannot be seen from here
	uid_t user;		// whose process that is; (uid_t)-1: not known
	int waiting;		// how many wait for it in the kernel's queue, as far as is seen; -1: not known
	char command[EXCLUSIVELOCK_COMMAND_SIZE];	// the holder's arguments with blanks between them, as far as there is room; what is
							// not printable in ASCII is shown as '?'. Empty: not known
};

// Holds LOCK until the process has ended: it is given back as late as under the preload, after every exit handler.
// LOCK must not be used any more. NULL is allowed.
EXCLUSIVELOCK_API void exclusivelock_forever(exclusivelock *lock);

// Takes the lock NAME if it is free. Returns it, for exclusivelock_release(), or NULL and errno:
//   EWOULDBLOCK   another process holds it
//   EALREADY      this process holds it
//   EINVAL        what is in the lock file's place is no lock file
//   EACCES, ENOENT, ENOSPC, ENAMETOOLONG, ENOMEM, ...   the lock cannot be judged; nothing is held
EXCLUSIVELOCK_LOCK exclusivelock *exclusivelock_try(const char *name);

// The same, and waits for it for SECONDS, or without limit where that is negative. First come, first served, by the kernel's queue. It also
// waits while another thread of this process holds the lock. Its other errors:
//   ETIMEDOUT     the time is over
//   EINTR         a signal handler ran that was installed without SA_RESTART
//   EALREADY      this process holds it, and would wait for itself: this thread took it, or it is held until the process ends
//   EDEADLK       this process has a share of it by fork: release that first
//   EAGAIN        somebody holds it, and no thread can be started to wait with
//   EINVAL        SECONDS is no number
EXCLUSIVELOCK_LOCK exclusivelock *exclusivelock_wait(const char *name, double seconds);

// Takes the lock as OPTIONS say; NULL: as exclusivelock_try(). Nothing of OPTIONS is used later. Its errors are those of
// exclusivelock_try() if the patience is 0, else those of exclusivelock_wait(), and:
//   EINVAL        the size is less than that of any version, the directory is neither absolute nor "user", or the patience is no number
//   E2BIG         an option is set that this library does not know
//   EPERM         the directory "user" is there, but is not this user's own
EXCLUSIVELOCK_LOCK exclusivelock *exclusivelock_open(const char *name, const struct exclusivelock_options *options);

// Takes the lock and holds it until the process has ended. If another process holds it, prints "Another 'NAME' process is
// already running (pid PID)." and ends the process by exit(1); on an error it prints that, and calls exit(125).
EXCLUSIVELOCK_API void exclusivelock_die(const char *name);

// The same, but returns the lock, never NULL, for exclusivelock_release().
EXCLUSIVELOCK_LOCK exclusivelock *exclusivelock_or_die(const char *name) EXCLUSIVELOCK_NEVER_NULL;

// Gives LOCK back, and frees it. NULL is allowed. Returns 0; or -1 and errno: the lock file can no longer be changed, and would keep others
// out, so nothing was given back, and LOCK can be released later. It works after the process has become another user or has changed its
// root. A lock that is not given back is held until the process has ended.
EXCLUSIVELOCK_API int exclusivelock_release(exclusivelock *lock);

// The absolute path of LOCK's lock file, valid as long as LOCK. Of NULL it is NULL, and errno EINVAL.
EXCLUSIVELOCK_API const char *exclusivelock_path(const exclusivelock *lock);

// The PID of the process that holds the lock NAME: this one's, too. 0: nobody does; -1 and errno: it cannot be judged, or
// (ESRCH) somebody holds it who cannot be seen. Takes nothing. (In a PID namespace that does not see all processes it tries the kernel's
// lock for an instant where nothing else tells.)
EXCLUSIVELOCK_RESULT pid_t exclusivelock_holder(const char *name);

// Fills STATUS with what is known of the lock NAME. Of OPTIONS only the directory counts; NULL: none. Takes nothing, as
// exclusivelock_holder(). Returns 0, or -1 and errno: as there, but not ESRCH; EINVAL if a size is less than that of any version.
EXCLUSIVELOCK_API int exclusivelock_info(const char *name, const struct exclusivelock_options *options, struct exclusivelock_status *status)
	EXCLUSIVELOCK_NEEDS(3);

// Returns a descriptor for poll(2), close-on-exec, that becomes readable when nobody holds the lock NAME, this process neither, or when the
// lock cannot be judged. It stays readable. Takes nothing: another process may have taken the lock by then. So call exclusivelock_try(),
// and where that says EWOULDBLOCK get another descriptor. Of OPTIONS only the directory counts; NULL: none.
// Close the descriptor with close(2), at any time. Until it is readable or closed, a thread of the library's waits, all signals blocked. A
// forked child has the descriptor, but not the thread: in the child it becomes readable when the parent ends, too. Returns -1 and errno:
// EAGAIN (no thread can be started), EMFILE, or why the path of the lock file cannot be told.
EXCLUSIVELOCK_RESULT int exclusivelock_watch(const char *name, const struct exclusivelock_options *options);

// A lock for the rest of the block, as the variable LOCK (NULL if it was not free). At the top of a function: for the
// function. A goto or a case label that would jump into the block behind it does not compile. longjmp(3) and, without
// -fexceptions, a cancellation of the thread leave the block without giving the lock back.
#define EXCLUSIVELOCK_SCOPE(lock, name) EXCLUSIVELOCK_SCOPE_OF(lock, exclusivelock_try(name))

// The same, and waits for SECONDS, as exclusivelock_wait().
#define EXCLUSIVELOCK_SCOPE_WAIT(lock, name, seconds) EXCLUSIVELOCK_SCOPE_OF(lock, exclusivelock_wait(name, seconds))

// The same; if the lock cannot be taken, prints why and ends the process, as exclusivelock_die(). LOCK is never NULL.
#define EXCLUSIVELOCK_SCOPE_OR_DIE(lock, name) EXCLUSIVELOCK_SCOPE_OF(lock, exclusivelock_or_die(name))

// The same for whatever TAKEN returns, such as exclusivelock_open().
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration has none
#define EXCLUSIVELOCK_SCOPE_OF(lock, taken) \
	exclusivelock *lock __attribute__((cleanup(exclusivelock_leave_scope))) = (taken) \
	EXCLUSIVELOCK_NO_JUMP(lock)
// NOLINTEND(bugprone-macro-parentheses)

// GCC takes no jump past the declaration of a type whose size is not constant. Others take none past that of the variable.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus) && !defined(__STDC_NO_VLA__)
#define EXCLUSIVELOCK_NO_JUMP(lock) ; \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wvla\"") \
	typedef char lock##_is_declared[(lock) ? 1 : 2] __attribute__((unused)); \
	_Pragma("GCC diagnostic pop") struct lock##_is_a_scope
#else
#define EXCLUSIVELOCK_NO_JUMP(lock)
#endif

static inline void exclusivelock_leave_scope(exclusivelock **lock)
{
	(void)exclusivelock_release(*lock);
}

#ifdef __cplusplus
}
#endif

#endif
