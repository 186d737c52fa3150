// SPDX-License-Identifier: MIT
// The children of a process, by /proc/PID/task/TID/children (Linux 3.5, CONFIG_PROC_CHILDREN).
#ifndef EXLOCK_CHILDREN_H
#define EXLOCK_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

// Visits the children of PARENT, those of each of its threads, until VISIT returns true. Returns false if the kernel does not list children, or
// PARENT has ended.
bool children_visit(pid_t parent, bool (*visit)(void *context, pid_t pid), void *context);

#endif
