// SPDX-License-Identifier: MIT
// For libexclusivelock, in the place of libc's openat(2), hidden: flopen(3) takes O_NONBLOCK for "do not wait for the lock" and
// leaves it out where it is to wait, and would hang in opening a FIFO that somebody put where a lock file was. The preload has the
// same in its door.
#pragma GCC visibility push(hidden)
#include <fcntl.h>
#pragma GCC visibility pop

#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

int openat(int directory, const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list list;

		va_start(list, flags);
		mode = va_arg(list, mode_t);
		va_end(list);
	}
	return (int)syscall(SYS_openat, directory, path, flags | O_NONBLOCK, mode);
}
