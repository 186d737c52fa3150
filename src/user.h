// SPDX-License-Identifier: MIT
#ifndef EXLOCK_USER_H
#define EXLOCK_USER_H

#include <stdbool.h>
#include <sys/types.h>

// Whether both are one and the same user. In a user namespace all users that have no number there show as 65534, the overflow user (unless
// somebody has changed /proc/sys/kernel/overflowuid): that is nobody's equal, except where all users have a number.
bool user_is_same(uid_t a, uid_t b);

// Whether USER, a file's owner, is one that has no number in this user namespace.
bool user_is_unknown(uid_t user);

// Which number USER has in the user namespace that this one was made in: *OUTSIDE. False: it has none, or that one's root: a namespace
// within another one does not tell who made the outer one.
bool user_outside(uid_t user, uid_t *outside);

#endif
