// SPDX-License-Identifier: MIT
#ifndef EXLOCK_PAUSE_H
#define EXLOCK_PAUSE_H

#include <stdint.h>

// Sleeps for about so many microseconds, or until a signal.
void pause_us(uint32_t microseconds);

// CLOCK_MONOTONIC in nanoseconds: no step of the wall clock moves a deadline. In a sandbox that does not let the clock be read
// time goes on with every look at it and by what pause_passed says, so that whatever has an end comes to it.
uint64_t pause_clock(void);

// So much time has gone by in a system call.
void pause_passed(uint64_t nanoseconds);

#endif
