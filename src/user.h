// SPDX-License-Identifier: MIT
#ifndef EXLOCK_USER_H
#define EXLOCK_USER_H

#include <stdbool.h>
#include <sys/types.h>

// Whether both are one and the same user. In a user namespace all users that have no number there show as 65534, the overflow user (unless
// somebody has changed /proc/sys/kernel/overflowuid): that is nobody's equal, except where all users have a number.
bool user_is_same(uid_t a, uid_t b);

#endif
