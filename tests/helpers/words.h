// SPDX-License-Identifier: MIT
// How the name of every lock file begins and what a refused start says: here for C, and for the topics in test_helper.bash.
#pragma once

#define LOCK_PREFIX "py_exclusivelock_"
// The lock file of a name that is written so as it is QUOTED.
#define LOCK_FILE(quoted) LOCK_PREFIX quoted ".lock"

// With the name, and the PID of who has its lock.
#define REFUSAL "Another '%s' process is already running.\n"
#define REFUSAL_PID "Another '%s' process is already running (pid %d).\n"
