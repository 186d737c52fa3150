// SPDX-License-Identifier: MIT
#ifndef EXLOCK_BENCH_WAITING_H
#define EXLOCK_BENCH_WAITING_H

#include <sys/types.h>

// Returns when process PID waits for a lock that another one has, by the kernel's list. Ends the program, as by a failure of LABEL, if it
// does not come to that within seconds.
void waiting_await(pid_t pid, const char *label);

#endif
