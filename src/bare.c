// SPDX-License-Identifier: MIT
// What the launcher has in libc's place, with the shim's door: a libc's own start costs as much as all that the launcher does. The end of
// the process runs one handler; what the shim needs not is a system call here, too.
#pragma GCC visibility push(hidden)
#include "complain.h"
#include "rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __x86_64__
#include <asm/prctl.h>
#endif

// Where the kernel begins: the stack has argc, argv, the environment and the auxiliary vector.
#if defined(__x86_64__)
__asm__(".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call exlock_enter\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
	".type _start, %function\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl exlock_enter\n");
#elif defined(__riscv) && __riscv_xlen == 64
__asm__(".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	".option push\n"
	".option norelax\n"
	"	lla gp, __global_pointer$\n"
	".option pop\n"
	"	mv a0, sp\n"
	"	andi sp, sp, -16\n"
	"	call exlock_enter\n");
#endif

int main(int argc, char **argv);
_Noreturn void exlock_enter(void **stack);
int __cxa_atexit(void (*handler)(void *), void *argument, void *owner);

char **environ;
void *__libc_stack_end;	// start.c looks here

// See __stack_chk_fail in door.c: the guard.
#ifdef __x86_64__
static void *thread[6];	// at %fs:0x28

static void prepare_guard(void)
{
	long result = rawcall(SYS_arch_prctl, ARCH_SET_FS, (long)thread, 0, 0, 0, 0);

	if (result < 0)
		FAIL("ARCH_SET_FS: ", report_errno((int)-result));
}
#else
static void prepare_guard(void)
{
}
#endif

_Noreturn __attribute__((used)) void exlock_enter(void **stack)
{
	int argc = (int)*(long *)stack;
	char **argv = (char **)(stack + 1);

	__libc_stack_end = stack;
	environ = argv + argc + 1;
	prepare_guard();
	exit(main(argc, argv));
}

static void (*at_end)(void *);

int __cxa_atexit(void (*handler)(void *), void *argument, void *owner)
{
	(void)argument, (void)owner;
	at_end = handler;
	return 0;
}

void exit(int status)
{
	if (at_end)
		at_end(NULL);
	_exit(status);
}

void _exit(int status)
{
	rawcall_exit(status);
}

static long call(long number, long a, long b, long c, long d, long e)
{
	long result = rawcall(number, a, b, c, d, e, 0);

	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}

#define CALL(number, a, b, c, d) call(number, (long)(a), (long)(b), (long)(c), (long)(d), 0)

int execve(const char *file, char *const arguments[], char *const environment[])
{
	return (int)CALL(SYS_execve, file, arguments, environment, 0);
}

int faccessat(int directory, const char *path, int mode, int flags)
{
	// The call has none. Whose real user is not the effective one is in secure execution, and takes no lock.
	(void)flags;
	return (int)CALL(SYS_faccessat, directory, path, mode, 0);
}

int stat(const char *restrict path, struct stat *restrict status)
{
	return fstatat(AT_FDCWD, path, status, 0);
}

int lstat(const char *restrict path, struct stat *restrict status)
{
	return fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return (pid_t)CALL(SYS_wait4, pid, status, options, 0);
}

int pidfd_send_signal(int fd, int signal, siginfo_t *info, unsigned flags)
{
	return (int)CALL(SYS_pidfd_send_signal, fd, signal, info, flags);
}

int prctl(int option, ...)
{
	unsigned long argument;
	va_list list;

	va_start(list, option);
	argument = va_arg(list, unsigned long);
	va_end(list);
	return (int)CALL(SYS_prctl, option, argument, 0, 0);
}
#pragma GCC visibility pop
