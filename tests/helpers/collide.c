// SPDX-License-Identifier: MIT
// Exports functions named like libc's and like a lock library's own: whoever calls one ends this program with status 66.
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

// The label, not the C name, is what a library's call is bound to; so libc's headers need not agree.
#define TRAP(name) \
	void trap_##name(void) __asm__(#name); \
	void trap_##name(void) { _exit(66); }

TRAP(open) TRAP(open64) TRAP(openat) TRAP(openat64) TRAP(creat) TRAP(close) TRAP(read) TRAP(pread) TRAP(pread64)
TRAP(write) TRAP(pwrite) TRAP(pwrite64) TRAP(lseek) TRAP(ftruncate) TRAP(ftruncate64) TRAP(fsync)
TRAP(flock) TRAP(lockf) TRAP(fcntl) TRAP(fcntl64) TRAP(dup) TRAP(dup2) TRAP(dup3) TRAP(ioctl) TRAP(poll) TRAP(select)
TRAP(stat) TRAP(fstat) TRAP(lstat) TRAP(fstatat) TRAP(stat64) TRAP(fstat64) TRAP(lstat64) TRAP(fstatat64) TRAP(statx)
TRAP(chmod) TRAP(fchmod) TRAP(umask) TRAP(utimensat) TRAP(futimens) TRAP(access) TRAP(faccessat)
TRAP(unlink) TRAP(unlinkat) TRAP(rename) TRAP(readlink) TRAP(readlinkat) TRAP(realpath) TRAP(getcwd)
TRAP(opendir) TRAP(readdir) TRAP(closedir) TRAP(getdents64)
TRAP(mmap) TRAP(mmap64) TRAP(munmap) TRAP(mprotect) TRAP(malloc) TRAP(calloc) TRAP(realloc) TRAP(free) TRAP(strdup)
TRAP(socket) TRAP(socketpair) TRAP(bind) TRAP(listen) TRAP(connect) TRAP(accept) TRAP(sendmsg) TRAP(recvmsg)
TRAP(getsockopt) TRAP(setsockopt) TRAP(shutdown) TRAP(pipe) TRAP(pipe2) TRAP(eventfd) TRAP(epoll_create1)
TRAP(getenv) TRAP(secure_getenv) TRAP(setenv) TRAP(unsetenv) TRAP(putenv) TRAP(getauxval) TRAP(sysconf)
TRAP(getpid) TRAP(getppid) TRAP(gettid) TRAP(getuid) TRAP(geteuid) TRAP(kill) TRAP(tgkill) TRAP(raise) TRAP(fork)
TRAP(vfork) TRAP(execve) TRAP(waitpid) TRAP(pidfd_open) TRAP(prctl) TRAP(syscall) TRAP(sigaction) TRAP(sigprocmask)
TRAP(sigtimedwait) TRAP(alarm) TRAP(setitimer) TRAP(timer_create) TRAP(getrlimit) TRAP(setrlimit) TRAP(prlimit)
TRAP(nanosleep) TRAP(clock_nanosleep) TRAP(usleep) TRAP(sleep) TRAP(clock_gettime) TRAP(gettimeofday) TRAP(time)
TRAP(localtime) TRAP(localtime_r) TRAP(gmtime_r) TRAP(strftime) TRAP(exit) TRAP(abort) TRAP(sched_yield)
TRAP(memcpy) TRAP(memmove) TRAP(memset) TRAP(memcmp) TRAP(memchr) TRAP(strlen) TRAP(strnlen) TRAP(strcmp) TRAP(strncmp)
TRAP(strcpy) TRAP(strncpy) TRAP(strcat) TRAP(strchr) TRAP(strrchr) TRAP(strstr) TRAP(strcspn) TRAP(strspn)
TRAP(strtol) TRAP(strtoul) TRAP(strtoll) TRAP(strtod) TRAP(atoi) TRAP(fnmatch) TRAP(isdigit) TRAP(isalnum)
TRAP(printf) TRAP(fprintf) TRAP(snprintf) TRAP(vsnprintf) TRAP(sprintf) TRAP(fopen) TRAP(fclose) TRAP(fputs) TRAP(puts)
TRAP(fwrite) TRAP(strerror) TRAP(strerror_r) TRAP(perror) TRAP(dlsym) TRAP(dlopen) TRAP(dladdr) TRAP(dl_iterate_phdr)
TRAP(flopen) TRAP(flopenat) TRAP(pidfile_open) TRAP(vis) TRAP(strvis) TRAP(strnvis) TRAP(strlcpy) TRAP(strlcat)
TRAP(config_read) TRAP(lockname_derive) TRAP(lockfile_take) TRAP(lockfile_release) TRAP(process_alive)
TRAP(tombstone_raise) TRAP(tombstone_await) TRAP(report_refused) TRAP(report_error)

int main(void)
{
	static char word[] = "ready\n";
	// writev, sigwait and pthread_sigmask are the only doors left open for this program itself.
	const struct iovec ready = { word, sizeof(word) - 1 };
	sigset_t end;
	int signal;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	if (writev(STDOUT_FILENO, &ready, 1) < 0)
		return 1;
	sigwait(&end, &signal);
	return 0;
}
