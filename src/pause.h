// SPDX-License-Identifier: MIT
#ifndef EXLOCK_PAUSE_H
#define EXLOCK_PAUSE_H

#include <stdint.h>

// Sleeps for about so many microseconds, or until a signal.
void pause_us(uint32_t microseconds);

// CLOCK_MONOTONIC in nanoseconds: no step of the wall clock moves a deadline.
uint64_t pause_clock(void);

#endif
