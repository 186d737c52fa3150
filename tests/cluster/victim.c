// SPDX-License-Identifier: MIT
// victim FOLDER SEED MILLISECONDS [WORD...]: what the cluster's storm starts on its hosts. It takes a lock of its own, the oracle that
// all hosts share, without waiting: failing to get it means that two run at once. Then it writes to a resource again and again
// for so many milliseconds, or until SIGUSR1, and ends in one of many ways. WORDs: "stubborn" ignores SIGTERM, "children" has some, stubborn ones,
// that have the oracle, too. What happens is appended to FOLDER/log; who is in is written to FOLDER/oracle:
//
//	HOST PID PARENT FENCE CHILDREN MILLISECONDS
//
// One thing nobody can prevent: where all is stopped that could end a command, it is there when the lease ends. FOLDER/stopped/FENCE says
// that the storm has done so with that one. Whoever meets its command withdraws; from then on the resource has to refuse what that writes.
#define _GNU_SOURCE
#include "../helpers/storm/tally.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

enum { CHILDREN = 2, WRITE_EVERY_US = 5000 };

static int oracle;
static unsigned long fence;
static pid_t child[CHILDREN];
static volatile sig_atomic_t is_to_end;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	static int log = -1;
	va_list arguments;
	char line[512];
	int length;

	if (log < 0)
		log = openat(AT_FDCWD, "log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	va_start(arguments, format);
	length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	// At once, so that the lines of several do not mix.
	if (write(log, line, (size_t)length) != length)
		_exit(BROKEN);
}

static bool is_stopped(unsigned long its_fence)
{
	char path[64];

	snprintf(path, sizeof path, "stopped/%lu", its_fence);
	return its_fence && access(path, F_OK) == 0;
}

static void write_who(int children, const char *milliseconds)
{
	const char *host = getenv("EXCLUSIVELOCK_CLUSTER_HOST");
	char line[256];
	int length = snprintf(line, sizeof line, "%s %ld %ld %lu %d %s\n", host ? host : "etcdctl", (long)getpid(), (long)getppid(),
			      fence, children, milliseconds);

	if (pwrite(oracle, line, (size_t)length, 0) != length || ftruncate(oracle, length) < 0)
		_exit(BROKEN);
	note("in %s", line);
}

// The resource knows the highest token that was shown to it, and takes nothing under a lower one. It is nothing but a number.
static bool write_resource(unsigned long *highest)
{
	static int resource = -1;
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool taken;

	if (resource < 0)
		resource = openat(AT_FDCWD, "resource", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fcntl(resource, F_OFD_SETLKW, &whole) < 0)
		_exit(BROKEN);
	*highest = 0;
	(void)!pread(resource, highest, sizeof *highest, 0);
	taken = fence >= *highest;
	if (taken && pwrite(resource, &fence, sizeof fence, 0) != sizeof fence)
		_exit(BROKEN);
	whole.l_type = F_UNLCK;
	(void)fcntl(resource, F_OFD_SETLK, &whole);
	return taken;
}

// Others may have been in with a higher one only if this one was stopped.
static void use_resource(bool first)
{
	static bool refused;
	unsigned long highest;

	if (!fence)
		return;
	if (write_resource(&highest) && !(first && highest == fence))
		return;
	if (first || !is_stopped(fence))
		note("not rising: %lu after %lu\n", fence, highest);
	else if (!refused)
		note("stale write refused: %lu after %lu\n", fence, highest);
	refused = true;
}

// Somebody is in. The one that the storm has stopped is not to be blamed if it came first.
__attribute__((noreturn)) static void meet(void)
{
	char line[256] = "";
	unsigned long its_fence = 0;

	// A new winner may just be writing it.
	usleep(1000);
	(void)!pread(oracle, line, sizeof line - 1, 0);
	(void)sscanf(line, "%*s %*d %*d %lu", &its_fence);
	line[strcspn(line, "\n")] = '\0';
	if (is_stopped(its_fence) && (!fence || its_fence < fence)) {
		use_resource(true);
		note("beside stopped: %lu; %s\n", fence, line);
		_exit(WITHDRAWN);
	}
	note("overlap: %ld under %ld with %lu; in is %s\n", (long)getpid(), (long)getppid(), fence, line);
	_exit(OVERLAPPED);
}

static void have_children(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		child[i] = fork();
		if (child[i] != 0)
			continue;
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
}

// In scope "process" they might outlive it. None does where it ends by itself.
static void end_children(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
}

__attribute__((noreturn)) static void leave(void)
{
	switch (random() % 4) {
	case 0:
		_exit(0);
	case 1:
		abort();
	case 2:
		kill(getpid(), SIGKILL);
		pause();
		/* fall through */
	default:
		exit(0);
	}
}

static void end_soon(int signal)
{
	(void)signal;
	is_to_end = 1;
}

int main(int argc, char **argv)
{
	const char *token = getenv("EXCLUSIVELOCK_FENCE");
	bool children = false;
	double until;

	if (argc < 4 || chdir(argv[1]) < 0)
		return BROKEN;
	for (int i = 4; i < argc; i++) {
		if (strcmp(argv[i], "stubborn") == 0)
			signal(SIGTERM, SIG_IGN);
		children |= strcmp(argv[i], "children") == 0;
	}
	signal(SIGUSR1, end_soon);
	srandom((unsigned)atol(argv[2]));
	fence = token ? strtoul(token, NULL, 10) : 0;
	oracle = open_oracle(".");
	if (!take_oracle_now(oracle))
		meet();
	use_resource(true);
	write_who(children, argv[3]);
	if (children)
		have_children();
	for (until = now() + (double)atol(argv[3]) / 1000; now() < until && !is_to_end; usleep(WRITE_EVERY_US))
		use_resource(false);
	if (children)
		end_children();
	leave();
}
