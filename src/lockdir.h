// SPDX-License-Identifier: MIT
// Which directory the lock files are in.
#ifndef EXLOCK_LOCKDIR_H
#define EXLOCK_LOCKDIR_H

#include "text.h"

#include <stdbool.h>

// The value of EXCLUSIVELOCK_DIR that means a directory of this user's own.
#define LOCKDIR_WORD "user"

enum lockdir_kind {
	LOCKDIR_GIVEN,		// by its path
	LOCKDIR_SYSTEM,		// /var/lock
	LOCKDIR_TEMPORARY,	// there is no /var/lock: where Python has its temporary files
	LOCKDIR_OWN,		// this user's own
};

struct lockdir {
	enum lockdir_kind kind;
	const char *why;	// why no lock may be taken in it, a clause; NULL: one may
};

// Writes the directory to PATH, without a final slash: WANTED, or if that is NULL the default. LOCKDIR_WORD is /run/exlock for root, and for
// other users exlock-UID in /var/lock, or in /tmp where /var/lock is not a directory of root's with mode 1777. It may be missing; if it is
// there, it has to be this user's, and closed to others. The default is /var/lock. Where that is no directory, it is what Python's
// tempfile.gettempdir() finds by ENVIRONMENT (NULL: none): the first of TMPDIR, TEMP, TMP, /tmp, /var/tmp, /usr/tmp and the current
// directory in which a file can be made. Returns 0, or -1 and errno: there is none.
int lockdir_find(const char *wanted, char *const *environment, struct text *path, struct lockdir *found);

// Makes this user's own directory if it is missing and the lock file LOCK_PATH is to be in it. Returns true: it is there now. Otherwise
// false and errno.
bool lockdir_make(const char *lock_path);

// Why the directory of the lock file LOCK_PATH, which may be missing, is not this user's own, a clause; NULL: it is. Only asked when a file at
// that path is open, and before it is looked whether that still is there, it says that the file is in this user's directory: while it was missing
// anybody could make another one.
const char *lockdir_find_fault(const char *lock_path);

#endif
