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
// Any thread may call any function. None may be called from a signal handler. Only exclusivelock_wait() is a cancellation point; a
// cancelled wait leaves nothing. On success errno is as it was before.
#ifndef EXCLUSIVELOCK_H
#define EXCLUSIVELOCK_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EXCLUSIVELOCK_API __attribute__((visibility("default")))
#else
#define EXCLUSIVELOCK_API
#endif

typedef struct exclusivelock exclusivelock;

// Takes the lock NAME if it is free. Returns it, for exclusivelock_release(), or NULL and errno:
//   EWOULDBLOCK   another process holds it
//   EALREADY      this process holds it
//   EINVAL        what is in the lock file's place is no lock file
//   EACCES, ENOENT, ENOSPC, ENAMETOOLONG, ENOMEM, ...   the lock cannot be judged; nothing is held
EXCLUSIVELOCK_API exclusivelock *exclusivelock_try(const char *name);

// The same, and waits for it for SECONDS, or without limit where that is negative. First come, first served, by the kernel's queue. It also
// waits while another thread of this process holds the lock. Its other errors:
//   ETIMEDOUT     the time is over
//   EINTR         a signal handler ran that was installed without SA_RESTART
//   EALREADY      this process holds it, and would wait for itself: this thread took it, or it is held until the process ends
//   EDEADLK       this process has a share of it by fork: release that first
//   EAGAIN        somebody holds it, and no thread can be started to wait with
//   EINVAL        SECONDS is no number
EXCLUSIVELOCK_API exclusivelock *exclusivelock_wait(const char *name, double seconds);

// Takes the lock and holds it until the process has ended. If another process holds it, prints "Another 'NAME' process is
// already running (pid PID)." and ends the process by exit(1); on an error it prints that, and calls exit(125).
EXCLUSIVELOCK_API void exclusivelock_die(const char *name);

// Holds LOCK until the process has ended: it is given back as late as under the preload, after every exit handler.
// LOCK must not be used any more. NULL is allowed.
EXCLUSIVELOCK_API void exclusivelock_forever(exclusivelock *lock);

// Gives LOCK back, and frees it. NULL is allowed. Returns 0; or -1 and errno: the lock file can no longer be changed, and would keep others
// out, so nothing was given back, and LOCK can be released later. It works after the process has become another user or has changed its
// root. A lock that is not given back is held until the process has ended.
EXCLUSIVELOCK_API int exclusivelock_release(exclusivelock *lock);

// The absolute path of LOCK's lock file, valid as long as LOCK. Of NULL it is NULL, and errno EINVAL.
EXCLUSIVELOCK_API const char *exclusivelock_path(const exclusivelock *lock);

// The PID of the process that holds the lock NAME: this one's, too. 0: nobody does; -1 and errno: it cannot be judged, or
// (ESRCH) somebody holds it who cannot be seen. Takes nothing. (In a PID namespace that does not see all processes it tries the kernel's
// lock for an instant where nothing else tells.)
EXCLUSIVELOCK_API pid_t exclusivelock_holder(const char *name);

// A lock for the rest of the block, as the variable LOCK (NULL if it was not free). At the top of a function: for the
// function. A goto or a case label that would jump into the block behind it does not compile. longjmp(3) and, without
// -fexceptions, a cancellation of the thread leave the block without giving the lock back.
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration has none
#define EXCLUSIVELOCK_SCOPE(lock, name) \
	exclusivelock *lock __attribute__((cleanup(exclusivelock_leave_scope))) = exclusivelock_try(name) \
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
