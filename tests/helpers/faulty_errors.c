// SPDX-License-Identifier: MIT
// What each system call can return when it fails: its manual page, and what a sandbox (EPERM, ENOSYS), a file system of another
// kind or a full kernel table add to that.
#define _GNU_SOURCE
#include "faulty.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

// For calls that are not listed here, so that a new one is covered, too.
static const int usual[] = { EPERM, ENOSYS, ENOMEM, EINTR, EIO, EACCES, EINVAL, 0 };

static const struct {
	long number;
	const char *name;
	int errors[20];
} table[] = {
	// These cannot fail; brk(2) has a way of its own to say so.
	{ SYS_getpid, "getpid", { 0 } },
	{ SYS_getppid, "getppid", { 0 } },
	{ SYS_gettid, "gettid", { 0 } },
	{ SYS_geteuid, "geteuid", { 0 } },
	{ SYS_umask, "umask", { 0 } },
	{ SYS_brk, "brk", { 0 } },
	{ SYS_exit_group, "exit_group", { 0 } },
	{ SYS_rt_sigreturn, "rt_sigreturn", { 0 } },
	{ SYS_restart_syscall, "restart_syscall", { 0 } },

	{ SYS_openat, "openat", { EACCES, ENOENT, EMFILE, ENFILE, EINTR, ENOMEM, ELOOP, EPERM, EROFS, ENOSPC, EDQUOT, EEXIST, ENOTDIR,
				  ENXIO, ENODEV, EIO, ENOSYS, ESTALE } },
	{ SYS_close, "close", { EIO, EINTR, ENOSPC } },
	{ SYS_read, "read", { EIO, EINTR, EAGAIN, ESRCH, ENOMEM, EPERM, EISDIR } },
	{ SYS_pread64, "pread64", { EIO, EINTR, EAGAIN, ENOMEM, EPERM, ESTALE } },
	{ SYS_write, "write", { EIO, EINTR, EAGAIN, EPIPE, ENOSPC, EFBIG, EBADF } },
	{ SYS_pwrite64, "pwrite64", { EIO, EINTR, ENOSPC, EDQUOT, EFBIG, EPERM, ENOMEM } },
	{ SYS_flock, "flock", { EWOULDBLOCK, EINTR, ENOLCK, EBADF, EINVAL, ENOSYS, EPERM, EOPNOTSUPP, EIO } },
	{ SYS_fcntl, "fcntl", { EAGAIN, EACCES, EINTR, ENOLCK, EINVAL, EDEADLK, EMFILE, EPERM, ENOSYS, EIO } },
	{ SYS_fstat, "fstat", { EIO, ENOMEM, EOVERFLOW, ESTALE, EPERM, ENOSYS } },
	{ SYS_newfstatat, "newfstatat", { ENOENT, EACCES, EIO, ELOOP, ENOMEM, ENOTDIR, EOVERFLOW, ESTALE, EPERM, ENOSYS } },
	{ SYS_ftruncate, "ftruncate", { EIO, EINTR, EFBIG, EINVAL, EPERM, EROFS, ENOSPC } },
	{ SYS_fchmod, "fchmod", { EPERM, EIO, EROFS, ENOMEM, ENOSYS } },
	{ SYS_utimensat, "utimensat", { EPERM, EACCES, EROFS, EINVAL, ENOSYS, EIO } },
	{ SYS_unlinkat, "unlinkat", { EPERM, EACCES, EBUSY, EIO, ENOENT, EROFS, ENOMEM } },
	{ SYS_readlinkat, "readlinkat", { EACCES, ENOENT, EINVAL, EIO, ELOOP, ENOMEM, ENOTDIR, ENOSYS } },
#ifdef SYS_readlink
	{ SYS_readlink, "readlink", { EACCES, ENOENT, EINVAL, EIO, ELOOP, ENOMEM, ENOTDIR, ENOSYS } },
#endif
	{ SYS_getcwd, "getcwd", { ENOENT, EACCES, ENOMEM, ERANGE } },
	{ SYS_getdents64, "getdents64", { EIO, ENOENT, EINVAL, ENOMEM, ENOSYS, EINTR } },
	{ SYS_mmap, "mmap", { ENOMEM, EACCES, EAGAIN, ENODEV, EPERM, ENFILE, EINVAL } },
	{ SYS_munmap, "munmap", { ENOMEM, EINVAL } },
	{ SYS_mprotect, "mprotect", { ENOMEM, EACCES } },
	{ SYS_socket, "socket", { EAFNOSUPPORT, EMFILE, ENFILE, ENOMEM, EACCES, EPERM, ENOBUFS, ENOSYS } },
	{ SYS_socketpair, "socketpair", { EMFILE, ENFILE, ENOMEM, EPERM, EAFNOSUPPORT, ENOSYS } },
	{ SYS_bind, "bind", { EADDRINUSE, EACCES, ENOMEM, EPERM, EINVAL } },
	{ SYS_listen, "listen", { EADDRINUSE, EOPNOTSUPP, EPERM, ENOSYS } },
	{ SYS_connect, "connect", { EAGAIN, EACCES, EINTR, ENOMEM, EPERM, ENOSYS } },
	{ SYS_getsockopt, "getsockopt", { EPERM, ENOSYS, ENOPROTOOPT, ENOBUFS } },
	{ SYS_sendmsg, "sendmsg", { EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS, EPIPE, EINTR, EPERM, ENOSYS } },
	{ SYS_kill, "kill", { EPERM, ESRCH, ENOSYS } },
	{ SYS_pidfd_open, "pidfd_open", { EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM, ESRCH, EINVAL, ENODEV } },
	{ SYS_prlimit64, "prlimit64", { EPERM, ENOSYS, EFAULT } },
	{ SYS_ppoll, "ppoll", { EINTR, ENOMEM, EINVAL, ENOSYS, EPERM } },
	{ SYS_inotify_init1, "inotify_init1", { EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM } },
	{ SYS_inotify_add_watch, "inotify_add_watch", { ENOSPC, EACCES, ENOENT, ENOMEM, ENOSYS } },
	{ SYS_nanosleep, "nanosleep", { EINTR, ENOSYS, EPERM, EINVAL } },
	{ SYS_clock_gettime, "clock_gettime", { EPERM, ENOSYS, EINVAL } },
	{ SYS_timer_create, "timer_create", { EAGAIN, ENOMEM, EPERM, ENOSYS, ENOTSUP } },
	{ SYS_timer_settime, "timer_settime", { EINVAL, EPERM, ENOSYS } },
	{ SYS_timer_delete, "timer_delete", { EINVAL, EPERM, ENOSYS } },
	{ SYS_rt_sigprocmask, "rt_sigprocmask", { EPERM, ENOSYS, EINVAL } },
	{ SYS_rt_sigtimedwait, "rt_sigtimedwait", { EAGAIN, EINTR, ENOSYS, EPERM } },
	{ SYS_rt_sigaction, "rt_sigaction", { EPERM, ENOSYS, EINVAL } },
	{ SYS_execve, "execve", { EACCES, ENOENT, ENOMEM, E2BIG, ENOEXEC, EIO, ETXTBSY, EPERM, ENFILE, ENOTDIR } },
};

static long entry_of(long number)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].number == number)
			return (long)i;
	return -1;
}

const int *errors_of(long number)
{
	long entry = entry_of(number);

	return entry < 0 ? usual : table[entry].errors;
}

bool errors_moves_bytes(long number)
{
	return number == SYS_read || number == SYS_pread64 || number == SYS_write || number == SYS_pwrite64 ||
	       number == SYS_getdents64;
}

const char *errors_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "no error";
}

const char *errors_call_name(long number, char buffer[24])
{
	long entry = entry_of(number);

	if (entry >= 0)
		return table[entry].name;
	snprintf(buffer, 24, "call %ld", number);
	return buffer;
}
