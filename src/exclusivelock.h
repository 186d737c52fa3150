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
// NAME is a lock's name, any bytes; NULL: the calling program's path without symlinks, as the preload derives it. The lock
// files are in EXCLUSIVELOCK_DIR, or by default in /var/lock. All functions may be called from any thread. A lock is held by
// the process, not by a thread: a second acquire of one name in one process is refused. A forked child that goes on without
// exec keeps the lock after its parent, but is not its owner; a child by exec does not. After an exec of the process itself
// its PID holds the lock, until the new program takes it (by a name of its own it may), or ends.
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

// The same, and waits for it for SECONDS, or without limit where that is negative. First come, first served. Where the time
// is over errno is ETIMEDOUT.
EXCLUSIVELOCK_API exclusivelock *exclusivelock_wait(const char *name, double seconds);

// Takes the lock and holds it until the process has ended. If another process holds it, prints "Another 'NAME' process is
// already running (pid PID)." and ends the process by exit(1); on an error it prints that, and calls exit(125).
EXCLUSIVELOCK_API void exclusivelock_die(const char *name);

// Holds LOCK until the process has ended: it is given back as late as under the preload, after every exit handler.
// LOCK must not be used any more. NULL is allowed.
EXCLUSIVELOCK_API void exclusivelock_forever(exclusivelock *lock);

// Gives LOCK back, and frees it. NULL is allowed; in a forked child only the memory is freed. errno is preserved. A lock that is
// not given back is held until the process has ended.
EXCLUSIVELOCK_API void exclusivelock_release(exclusivelock *lock);

// The absolute path of LOCK's lock file, valid as long as LOCK.
EXCLUSIVELOCK_API const char *exclusivelock_path(const exclusivelock *lock);

// The PID of the process that holds the lock NAME: this one's, too. 0: nobody does; -1 and errno: it cannot be judged, or
// (ESRCH) somebody holds it who cannot be seen. Looks only, takes nothing.
EXCLUSIVELOCK_API pid_t exclusivelock_holder(const char *name);

// A lock for the rest of the block, as the variable LOCK (NULL if it was not free). At the top of a function: for the
// function.
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration has none
#define EXCLUSIVELOCK_SCOPE(lock, name) \
	exclusivelock *lock __attribute__((cleanup(exclusivelock_leave_scope))) = exclusivelock_try(name)
// NOLINTEND(bugprone-macro-parentheses)

static inline void exclusivelock_leave_scope(exclusivelock **lock)
{
	exclusivelock_release(*lock);
}

#ifdef __cplusplus
}
#endif

#endif
