// SPDX-License-Identifier: MIT
// Memory for a moment. The library runs on whatever stack the program has: a handler's of 8 KiB, a thread's of 16 KiB. So nothing on its
// way to the end of the process has more than 512 bytes on the stack.
#ifndef EXLOCK_SCRATCH_H
#define EXLOCK_SCRATCH_H

// Room for two paths, or for what the kernel puts into one answer of a netlink socket.
#define SCRATCH_SIZE 8192

// Returns SCRATCH_SIZE bytes, aligned to 16, for scratch_free(); or NULL and errno: there is no memory. Any thread, and a signal handler,
// may call it.
void *scratch_get(void);

// Leaves errno alone. NULL is nothing.
void scratch_free(void *memory);

#endif
