// SPDX-License-Identifier: MIT
#include "limited.h"

#include "watch.h"

#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000u
// What the core and libc need at most.
#define STACK_SIZE 262144

// Of the model that needs no allocation at the first use, and there is room for so little in a program that loads the library later.
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

// This thread's. No deadline is UINT64_MAX.
THREAD_LOCAL struct limited *own;
THREAD_LOCAL uint64_t alarm_at;

// One system call in a thread of its own.
struct call {
	long number, arguments[4];
	long result;
	int error;
	sem_t *wake;
	_Atomic bool done;
};

int limited_init(struct limited *limited)
{
	atomic_init(&limited->given_up, false);
	return sem_init(&limited->wake, 0, 0);
}

void limited_destroy(struct limited *limited)
{
	(void)sem_destroy(&limited->wake);
}

void limited_begin(struct limited *limited)
{
	own = limited;
}

void limited_give_up(struct limited *limited)
{
	atomic_store(&limited->given_up, true);
	(void)sem_post(&limited->wake);
}

static bool is_given_up(void)
{
	return own && atomic_load(&own->given_up);
}

// Libc takes a thread's thread-local storage out of its stack.
static size_t thread_storage;

static int add_storage(struct dl_phdr_info *object, size_t size, void *total)
{
	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_TLS)
			*(size_t *)total += object->dlpi_phdr[i].p_memsz + object->dlpi_phdr[i].p_align;
	return 0;
}

// What is loaded later gets no room in the stack but what libc has reserved.
__attribute__((constructor)) static void measure_storage(void)
{
	(void)dl_iterate_phdr(add_storage, &thread_storage);
}

int limited_start(pthread_t *thread, void *(*run)(void *), void *context)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error = pthread_attr_init(&attributes);

	if (error != 0)
		return error;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE + thread_storage);
	error = pthread_create(thread, &attributes, run, context);
	if (error == EINVAL)
		error = pthread_create(thread, NULL, run, context);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return error;
}

// It can be cancelled in the system call, and nowhere else: nothing but the call's own result is lost.
static void *run_call(void *context)
{
	struct call *call = context;
	int state;

	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &state);	// NOLINT(cert-pos47-c): a system call alone follows
	call->result = syscall(call->number, call->arguments[0], call->arguments[1], call->arguments[2], call->arguments[3]);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	call->error = errno;
	atomic_store(&call->done, true);
	(void)sem_post(call->wake);
	return NULL;
}

static void await_call(const struct call *call, uint64_t deadline)
{
	const struct timespec until = { .tv_sec = (time_t)(deadline / NANOSECONDS), .tv_nsec = (long)(deadline % NANOSECONDS) };
	int result = 0;

	while (!atomic_load(&call->done) && !is_given_up() && !(result == -1 && errno == ETIMEDOUT))
		result = deadline == UINT64_MAX ? sem_wait(call->wake) : sem_clockwait(call->wake, CLOCK_MONOTONIC, &until);
}

// Does CALL, until DEADLINE or until it is given up: then it returns -1 and errno EINTR, and whether the call was done is not known.
static long do_limited(struct call *call, uint64_t deadline)
{
	void *end = PTHREAD_CANCELED;
	pthread_t thread;
	sem_t wake;
	int error;

	atomic_init(&call->done, false);
	(void)sem_init(&wake, 0, 0);
	call->wake = own ? &own->wake : &wake;
	error = limited_start(&thread, run_call, call);
	if (error == 0) {
		await_call(call, deadline);
		if (!atomic_load(&call->done))
			(void)pthread_cancel(thread);
		(void)pthread_join(thread, &end);
		error = end == PTHREAD_CANCELED ? EINTR : call->error;
	}
	(void)sem_destroy(&wake);
	if (end == PTHREAD_CANCELED)
		call->result = -1;
	call->wake = NULL;
	if (call->result == -1)
		errno = error;
	return call->result;
}

// libexclusivelock's own: what follows is in the place of libc's functions of the same name.
#define HIDDEN __attribute__((visibility("hidden")))
// NOLINTBEGIN(readability-redundant-declaration): libc's are not hidden
HIDDEN int flock(int fd, int operation);
HIDDEN int ppoll(struct pollfd *files, nfds_t count, const struct timespec *time, const sigset_t *mask);
HIDDEN ssize_t write(int fd, const void *bytes, size_t length);
HIDDEN int clock_gettime(clockid_t clock, struct timespec *time);
// NOLINTEND(readability-redundant-declaration)

int watch_arm(struct watch_alarm *alarm, uint64_t deadline)
{
	alarm->armed = true;
	alarm_at = deadline;
	return 0;
}

void watch_disarm(struct watch_alarm *alarm)
{
	alarm->armed = false;
	alarm_at = 0;
}

// The queue is the kernel's: who comes first is served first, whatever thread he waits in.
int flock(int fd, int operation)
{
	struct call call = { .number = SYS_flock, .arguments = { fd, operation } };
	long result;

	if (operation & LOCK_NB || alarm_at == 0)
		return (int)syscall(SYS_flock, fd, operation);
	if (syscall(SYS_flock, fd, operation | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -1;
	result = do_limited(&call, alarm_at);
	// It may have come in the very instant in which it was given up.
	if (result == -1 && errno == EINTR) {
		(void)syscall(SYS_flock, fd, LOCK_UN);
		errno = EINTR;
	}
	return (int)result;
}

// The kernel writes to the time what is left of it. The mask is always NULL.
int ppoll(struct pollfd *files, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
	struct timespec left = { 0 };
	struct call call = { .number = SYS_ppoll, .arguments = { (long)files, (long)count, (long)&left } };

	(void)mask;
	if (time)
		left = *time;
	else
		call.arguments[2] = 0;
	if (!own || (time && time->tv_sec == 0 && time->tv_nsec == 0))
		return (int)syscall(SYS_ppoll, files, count, call.arguments[2], NULL, 0);
	return (int)do_limited(&call, UINT64_MAX);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	struct call call = { .number = SYS_write, .arguments = { fd, (long)bytes, (long)length } };

	return alarm_at == 0 ? syscall(SYS_write, fd, bytes, length) : do_limited(&call, alarm_at);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_MONOTONIC || !is_given_up())
		return (int)syscall(SYS_clock_gettime, clock, time);
	*time = (struct timespec){ .tv_sec = (time_t)(UINT64_MAX / NANOSECONDS), .tv_nsec = (long)(UINT64_MAX % NANOSECONDS) };
	return 0;
}
