// SPDX-License-Identifier: MIT
// The shim's door to the system. What the core, flopen(3) and SHA-256 call by libc's names is defined here, hidden, as
// direct system calls: nothing that the program or another preload put in libc's place is ever called, errno is one of
// our own, and the library needs no libc to load. A signature that differs from libc's is a compile error: the
// declarations are libc's.
#ifdef EXLOCK_THREADS
// There errno and memory are libc's. ThreadSanitizer is to see what memory there is. It must not see descriptors, which it takes for the
// process' one table's: those of a waiting thread are in another one (waiter.h).
#include <errno.h>
#endif
#pragma GCC visibility push(hidden)
#include "rawcall.h"

#include <dirent.h>
#include <errno.h>	// NOLINT(readability-duplicate-include): above it is not hidden
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// What the kernel knows of a signal set.
#define SIGNAL_SET_SIZE 8
// More than come together where paths are merely not there.
#define LOOKS_FAILED 8

#ifndef EXLOCK_THREADS
// The linker puts this in the place of every reference to __errno_location (--wrap). Only one thread is ever in here:
// at the start there is no other, and exit handlers run in one.
int *__wrap___errno_location(void);
int *__wrap___errno_location(void)
{
	static int error;

	return &error;
}
#endif

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	long result = rawcall(number, a, b, c, d, e, f);

	if (result < 0 && result >= -4095) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

#define CALL(number, a, b, c, d, e, f) \
	call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL4(number, a, b, c, d) CALL(number, a, b, c, d, 0, 0)
#define CALL3(number, a, b, c) CALL(number, a, b, c, 0, 0, 0)
#define CALL2(number, a, b) CALL(number, a, b, 0, 0, 0, 0)
#define CALL1(number, a) CALL(number, a, 0, 0, 0, 0, 0)
#define CALL0(number) CALL(number, 0, 0, 0, 0, 0, 0)

// libexclusivelock has others (limited.c).
#define REPLACEABLE __attribute__((weak))

// Files.

// How often in a row fstatat() has failed since another path was opened than the one that it looked at, and why.
#ifndef EXLOCK_THREADS
static const char *looked_at;
static int looks_failed, look_error;
#endif

// Opening never blocks: a FIFO may have been put where a lock file was. flopen(3), which takes O_NONBLOCK for "do not wait for the
// lock", would leave it out. On files and folders it changes nothing.
int openat(int directory, const char *path, int flags, ...)
{
	mode_t mode = 0;

#ifndef EXLOCK_THREADS
	// Not the path that flopen(3) has in hand.
	if (path != looked_at)
		looks_failed = 0;
#endif
	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list list;

		va_start(list, flags);
		mode = va_arg(list, mode_t);	// NOLINT(clang-analyzer-valist.Uninitialized): it is initialized one line above
		va_end(list);
	}
	return (int)CALL4(SYS_openat, directory, path, flags | O_NONBLOCK, mode);
}

int close(int fd)
{
	return (int)CALL1(SYS_close, fd);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	return CALL3(SYS_read, fd, buffer, size);
}

REPLACEABLE ssize_t write(int fd, const void *buffer, size_t size)
{
	return CALL3(SYS_write, fd, buffer, size);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
	return CALL4(SYS_pread64, fd, buffer, size, offset);
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	return CALL4(SYS_pwrite64, fd, buffer, size, offset);
}

#ifndef EXLOCK_THREADS
// flopen(3) begins again, for ever, when it cannot look at the path of what it has just locked. It can be stopped here.
int flock(int fd, int operation)
{
	if (looks_failed >= LOOKS_FAILED) {
		looks_failed = 0;
		errno = look_error == ENOENT ? ESTALE : look_error;	// it is there: it has just been opened
		return -1;
	}
	return (int)CALL2(SYS_flock, fd, operation);
}
#endif

int fcntl(int fd, int command, ...)
{
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return (int)CALL3(SYS_fcntl, fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	return (int)CALL3(SYS_ioctl, fd, request, argument);
}

int fstat(int fd, struct stat *status)
{
	return (int)CALL2(SYS_fstat, fd, status);
}

int fstatfs(int fd, struct statfs *status)
{
	return (int)CALL2(SYS_fstatfs, fd, status);
}

int fstatat(int directory, const char *restrict path, struct stat *restrict status, int flags)
{
	int result = (int)CALL4(SYS_newfstatat, directory, path, status, flags);

#ifndef EXLOCK_THREADS
	looked_at = path;
	looks_failed = result == 0 ? 0 : looks_failed + 1;
	look_error = errno;
#endif
	return result;
}

off_t lseek(int fd, off_t offset, int whence)
{
	return CALL3(SYS_lseek, fd, offset, whence);
}

int ftruncate(int fd, off_t length)
{
	return (int)CALL2(SYS_ftruncate, fd, length);
}

int fchmod(int fd, mode_t mode)
{
	return (int)CALL2(SYS_fchmod, fd, mode);
}

int fchmodat(int directory, const char *path, mode_t mode, int flags)
{
	(void)flags;	// none is used, and the kernel takes none
	return (int)CALL3(SYS_fchmodat, directory, path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode)
{
	return (int)CALL3(SYS_mkdirat, directory, path, mode);
}

mode_t umask(mode_t mask)
{
	return (mode_t)CALL1(SYS_umask, mask);
}

int futimens(int fd, const struct timespec times[2])
{
	return (int)CALL4(SYS_utimensat, fd, NULL, times, 0);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	return (int)CALL(SYS_linkat, from_directory, from, to_directory, to, flags, 0);
}

int unlink(const char *path)
{
	return (int)CALL3(SYS_unlinkat, AT_FDCWD, path, 0);
}

ssize_t readlinkat(int directory, const char *restrict path, char *restrict buffer, size_t size)
{
	return CALL4(SYS_readlinkat, directory, path, buffer, size);
}

char *getcwd(char *buffer, size_t size)
{
	return CALL2(SYS_getcwd, buffer, size) == -1 ? NULL : buffer;
}

ssize_t getdents64(int fd, void *buffer, size_t size)
{
	return CALL3(SYS_getdents64, fd, buffer, size);
}

#ifndef EXLOCK_THREADS
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return (void *)CALL(SYS_mmap, address, length, protection, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
	return (int)CALL2(SYS_munmap, address, length);
}
#endif

// Sockets. With GNU extensions an address is a transparent union.

int socket(int domain, int type, int protocol)
{
	return (int)CALL3(SYS_socket, domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int pair[2])
{
	return (int)CALL4(SYS_socketpair, domain, type, protocol, pair);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	return (int)CALL3(SYS_bind, fd, address.__sockaddr__, length);
}

int listen(int fd, int backlog)
{
	return (int)CALL2(SYS_listen, fd, backlog);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	return (int)CALL3(SYS_connect, fd, address.__sockaddr__, length);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	return (int)CALL(SYS_getsockopt, fd, level, name, value, length, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return CALL3(SYS_sendmsg, fd, message, flags);
}

// Processes, signals, time.

pid_t getpid(void)
{
	return (pid_t)CALL0(SYS_getpid);
}

pid_t gettid(void)
{
	return (pid_t)CALL0(SYS_gettid);
}

int sched_yield(void)
{
	return (int)CALL0(SYS_sched_yield);
}

pid_t getppid(void)
{
	return (pid_t)CALL0(SYS_getppid);
}

uid_t geteuid(void)
{
	return (uid_t)CALL0(SYS_geteuid);
}

int kill(pid_t pid, int signal)
{
	return (int)CALL2(SYS_kill, pid, signal);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	return (int)CALL(SYS_waitid, type, id, info, options, NULL, 0);
}

int pidfd_open(pid_t pid, unsigned flags)
{
	return (int)CALL2(SYS_pidfd_open, pid, flags);
}

int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *limit, struct rlimit *before)
{
	return (int)CALL4(SYS_prlimit64, pid, resource, limit, before);
}

int getrusage(enum __rusage_who who, struct rusage *usage)
{
	return (int)CALL2(SYS_getrusage, who, usage);
}

REPLACEABLE int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){ 0 };	// the kernel writes to it

	return (int)CALL(SYS_ppoll, files, count, timeout ? &left : NULL, mask, SIGNAL_SET_SIZE, 0);
}

int inotify_init1(int flags)
{
	return (int)CALL1(SYS_inotify_init1, flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	return (int)CALL3(SYS_inotify_add_watch, fd, path, mask);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	return (int)CALL2(SYS_nanosleep, time, left);
}

REPLACEABLE int clock_gettime(clockid_t clock, struct timespec *time)
{
	return (int)CALL2(SYS_clock_gettime, clock, time);
}

int timer_create(clockid_t clock, struct sigevent *restrict event, timer_t *restrict timer)
{
	int number = 0;
	int result = (int)CALL3(SYS_timer_create, clock, event, &number);

	*timer = (timer_t)(intptr_t)number;
	return result;
}

int timer_settime(timer_t timer, int flags, const struct itimerspec *restrict times, struct itimerspec *restrict before)
{
	return (int)CALL4(SYS_timer_settime, (intptr_t)timer, flags, times, before);
}

int timer_delete(timer_t timer)
{
	return (int)CALL1(SYS_timer_delete, (intptr_t)timer);
}

int sigemptyset(sigset_t *set)
{
	set->__val[0] = 0;
	return 0;
}

int sigfillset(sigset_t *set)
{
	set->__val[0] = ~0ul;
	return 0;
}

int sigaddset(sigset_t *set, int signal)
{
	set->__val[0] |= 1ul << (signal - 1);
	return 0;
}

int sigdelset(sigset_t *set, int signal)
{
	set->__val[0] &= ~(1ul << (signal - 1));
	return 0;
}

int sigismember(const sigset_t *set, int signal)
{
	return (set->__val[0] >> (signal - 1) & 1) != 0;
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict before)
{
	return (int)CALL4(SYS_rt_sigprocmask, how, set, before, SIGNAL_SET_SIZE);
}

int sigpending(sigset_t *set)
{
	return (int)CALL2(SYS_rt_sigpending, set, SIGNAL_SET_SIZE);
}

int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict timeout)
{
	return (int)CALL4(SYS_rt_sigtimedwait, set, info, timeout, SIGNAL_SET_SIZE);
}

// The kernel's struct sigaction.
struct kernel_action {
	void (*handler)(int signal, siginfo_t *info, void *context);
	unsigned long flags;
#ifdef __x86_64__
	void (*restorer)(void);
#endif
	unsigned long mask;
};

#ifdef __x86_64__
#define SA_RESTORER 0x04000000
// How a handler returns; other processors' kernels bring that themselves.
void exlock_restore(void);
__asm__(".hidden exlock_restore\n"
	".type exlock_restore, @function\n"
	"exlock_restore:\n"
	"	mov $15, %eax\n"
	"	syscall\n");
#endif

int sigaction(int signal, const struct sigaction *restrict action, struct sigaction *restrict before)
{
	struct kernel_action new = { 0 }, old = { 0 };
	int result;

	if (action) {
		new.handler = action->sa_sigaction;
		new.mask = action->sa_mask.__val[0];
		new.flags = (unsigned long)action->sa_flags;
#ifdef __x86_64__
		// An action that was read before is put back as it was, with the restorer of whoever set it, or none.
		new.restorer = action->sa_restorer;
		if (!(new.flags & SA_RESTORER) && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
			new.flags |= SA_RESTORER;
			new.restorer = exlock_restore;
		}
#endif
	}
	result = (int)CALL4(SYS_rt_sigaction, signal, action ? &new : NULL, before ? &old : NULL, SIGNAL_SET_SIZE);
	if (before) {
		before->sa_sigaction = old.handler;
		before->sa_mask.__val[0] = old.mask;
		before->sa_flags = (int)old.flags;
#ifdef __x86_64__
		before->sa_restorer = old.restorer;
#endif
	}
	return result;
}

// Debian's libbsd and libmd are built with stack protection. Its guard is in the thread's memory on x86-64, and elsewhere a variable.
#ifndef __x86_64__
extern void *__stack_chk_guard;
void *__stack_chk_guard;
#endif
void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
	rawcall_exit(127);
}
#pragma GCC visibility pop
