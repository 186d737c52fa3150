// SPDX-License-Identifier: MIT
// By what a process holds the flock: a mapping in the place of a descriptor, or a descriptor. Of a struct lockfile these set
// device, inode, mapping and descriptor.
#ifndef EXLOCK_HOLD_H
#define EXLOCK_HOLD_H

#include "lockfile.h"

#include <sys/stat.h>

// A mapping that holds the open file description of FD; NULL: none is to be had.
void *hold_map(int fd);

// Keeps the flock that FD has, of the file of STATUS; FD is LOCK's now. Always succeeds: where no mapping will do, the descriptor
// stays.
void hold_keep(struct lockfile *lock, int fd, const struct stat *status);

// Closes LOCK's descriptor, if it has one that is still its file's.
void hold_close(struct lockfile *lock);

// Lets go of the mapping and the descriptor.
void hold_end(struct lockfile *lock);

// Leaves it to the kernel to let go when the process is gone.
void hold_leave_to_kernel(struct lockfile *lock);

#endif
