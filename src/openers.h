// SPDX-License-Identifier: MIT
// Which processes have a lock file open, or map it: a look at everything they have, for where the flock and the record do not tell.
#ifndef EXLOCK_OPENERS_H
#define EXLOCK_OPENERS_H

#include "keepers.h"

#include <sys/types.h>

enum openers {
	OPENERS_NONE,
	OPENERS_SEEN,
	OPENERS_UNSEEN,		// none is seen, but not all may be looked at
	OPENERS_CUT,		// none is seen, but the budget is used up
};

// Looks whether a process of OWNER's, other than this one, has FILE open. *PID is the process.
enum openers openers_of_user(const struct mapped_file *file, uid_t owner, pid_t *pid);

// Looks whether any process on the machine but this one has FILE open or maps it, and that none may be overlooked: OPENERS_NONE is
// certain. It never is but for root, in the first PID namespace. A process that is forked behind the look's back, while its parent ends,
// is looked at in the end.
enum openers openers_of_all(const struct mapped_file *file, pid_t *pid);

#endif
