// SPDX-License-Identifier: MIT
// By what a process holds the flock: a mapping in the place of a descriptor, or a descriptor. Of a struct lockfile these set
// device, inode, mapping and descriptor.
#ifndef EXLOCK_HOLD_H
#define EXLOCK_HOLD_H

#include "claim.h"
#include "lockfile.h"

// A mapping that holds the open file description of FD; NULL: none is to be had.
void *hold_map(int fd);

// Keeps the flock that CLAIM has, whose descriptors are LOCK's now. Always succeeds: where no mapping will do, the descriptor stays.
void hold_keep(struct lockfile *lock, const struct claim *claim);

// Keeps the flock of an inherited DESCRIPTOR, this process' own from before exec, which is closed if a mapping will do. FLAGS are the mark's.
void hold_adopt(struct lockfile *lock, const struct mark_descriptor *descriptor);

// Closes LOCK's descriptor, if it has one that is still its file's.
void hold_close(struct lockfile *lock);

// Lets go of the mapping, the record's page and the descriptor.
void hold_end(struct lockfile *lock);

// Leaves it to the kernel to let go when the process is gone.
void hold_leave_to_kernel(struct lockfile *lock);

#endif
