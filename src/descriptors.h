// SPDX-License-Identifier: MIT
// Descriptors of the keeper and its warden.
#ifndef EXLOCK_DESCRIPTORS_H
#define EXLOCK_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

// Closes all but the standard error and KEPT (those that are -1 are none). What the command has open is not to stay open in its
// parents: the other end of a pipe would not hear that it is closed.
void descriptors_let_go(const int *kept, size_t count);

// A timer on lease_clock(); -1 and errno.
int timer_open(void);
// Lets it be readable at UNTIL; UINT64_MAX or 0: never.
void timer_set(int timer, uint64_t until);

#endif
