// SPDX-License-Identifier: MIT
// Writes what a program can see of its process at the start of main to the file that it is given, or to standard output.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// Collected here first: the descriptors are looked at before any file is opened for the result.
static char text[1 << 20];
static size_t used;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	used += vsnprintf(text + used, sizeof(text) - used, format, arguments);
	va_end(arguments);
	if (used >= sizeof(text))
		abort();
}

static int by_number(const void *left, const void *right)
{
	return *(const int *)left - *(const int *)right;
}

static void note_descriptors(void)
{
	int numbers[4096];
	size_t count = 0, i;
	struct dirent *entry;
	DIR *folder = opendir("/proc/self/fd");

	if (!folder)
		abort();
	while ((entry = readdir(folder)) && count < sizeof(numbers) / sizeof(*numbers))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
			numbers[count++] = atoi(entry->d_name);
	closedir(folder);
	qsort(numbers, count, sizeof(*numbers), by_number);
	for (i = 0; i < count; i++) {
		struct stat status;

		if (fstat(numbers[i], &status) != 0)
			abort();
		note("descriptor %d flags %x %x inode %lu:%lu offset %ld\n", numbers[i], fcntl(numbers[i], F_GETFD),
			fcntl(numbers[i], F_GETFL), (unsigned long)status.st_dev, (unsigned long)status.st_ino,
			(long)lseek(numbers[i], 0, SEEK_CUR));
	}
}

static void note_signals(void)
{
	struct sigaction action;
	stack_t stack;
	int number;

	for (number = 1; number < NSIG; number++) {
		if (sigaction(number, NULL, &action) != 0)
			continue;
		note("signal %d %s flags %x\n", number, action.sa_handler == SIG_DFL ? "default" :
			action.sa_handler == SIG_IGN ? "ignored" : "handled", (unsigned)action.sa_flags);
	}
	sigaltstack(NULL, &stack);
	note("alternate stack flags %x\n", (unsigned)stack.ss_flags);
}

static void note_timers_and_limits(void)
{
	struct itimerval timer;
	struct rlimit limit;
	int i;

	for (i = ITIMER_REAL; i <= ITIMER_PROF; i++) {
		getitimer(i, &timer);
		note("timer %d %s\n", i, timer.it_value.tv_sec || timer.it_value.tv_usec ? "runs" : "off");
	}
	for (i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit(i, &limit);
		note("limit %d %lu %lu\n", i, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
	}
}

static int begins_with(const char *line, const char *start)
{
	return strncmp(line, start, strlen(start)) == 0;
}

// Umask, identities, threads, signal sets, capabilities, seccomp: the kernel prints them all.
static void note_status(void)
{
	static const char *const wanted[] = { "Name:", "Umask:", "TracerPid:", "Uid:", "Gid:", "Groups:", "Threads:",
		"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "Cap", "NoNewPrivs:", "Seccomp", "Cpus_allowed:" };
	FILE *status = fopen("/proc/self/status", "r");
	char line[4096];
	size_t i;

	if (!status)
		abort();
	while (fgets(line, sizeof(line), status))
		for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
			if (begins_with(line, wanted[i]))
				note("%s", line);
	fclose(status);
}

static void note_environment(void)
{
	char **entry;

	for (entry = environ; *entry; entry++)
		if (!begins_with(*entry, "LD_PRELOAD=") && !begins_with(*entry, "EXCLUSIVELOCK_"))
			note("environment %s\n", *entry);
}

int main(int argc, char **argv)
{
	int first_errno = errno;
	int signal_on_parents_end = 0;
	char folder[4096];
	int result = STDOUT_FILENO;
	int i;

	note_descriptors();
	note("errno %d\n", first_errno);
	note_signals();
	note_timers_and_limits();
	note_status();
	note_environment();
	note("cwd %s\n", getcwd(folder, sizeof(folder)));
	note("children %s\n", waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? "none" : "some");
	note("parent %ld group %ld session %ld\n", (long)getppid(), (long)getpgrp(), (long)getsid(0));
	note("priority %d\n", getpriority(PRIO_PROCESS, 0));
	prctl(PR_GET_PDEATHSIG, &signal_on_parents_end);
	note("dumpable %d signal on parent's end %d\n", prctl(PR_GET_DUMPABLE), signal_on_parents_end);
	for (i = 0; i < argc; i++)
		note("argument %s\n", argv[i]);
	if (argc > 1 && (result = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666)) < 0)
		return 2;
	return write(result, text, used) == (ssize_t)used ? 0 : 3;
}
