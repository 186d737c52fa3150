// SPDX-License-Identifier: MIT
// Processes that a replaced job has left behind: started under its lock, but by now with a parent that is not of the job.
#ifndef EXLOCK_SURVIVORS_H
#define EXLOCK_SURVIVORS_H

#include "job.h"

#include <stddef.h>
#include <sys/types.h>

#define SURVIVORS_MAX 4

// Finds processes of root's or of this user's whose environment has the mark of the lock file with DEVICE and INODE, and that are neither members of
// JOB nor ancestors of this process. FOUND gets the first SURVIVORS_MAX. Returns how many there are. Other users' environments are not read: their
// owner can make a reader wait.
size_t survivors_find(const struct job *job, dev_t device, ino_t inode, pid_t found[SURVIVORS_MAX]);

#endif
