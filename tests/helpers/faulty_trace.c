// SPDX-License-Identifier: MIT
// Follows one process by ptrace(2), knows the code under test by where its system calls are made, and lets one of them fail.
#define _GNU_SOURCE
#include "faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// linux/ptrace.h, which does not go with sys/ptrace.h everywhere.
#define GET_SYSCALL_INFO 0x420e

struct syscall_info {
	unsigned char op, pad[3];
	unsigned arch;
	unsigned long long instruction, stack;
	unsigned long long number, arguments[6];
};

enum code { CODE_OTHER, CODE_LOADER, CODE_SHIM };

// What is known of the address space since the last exec.
struct trace_image {
	int number;
	bool hop;	// the launcher's: all that it does after the loader is under test
	bool begun;	// the loader has done
	int ranges;
	struct range {
		unsigned long start, end;
		enum code code;
	} range[32];
	int occurrence;
	bool inject;	// at the exit of the call that it is in
};

void trace_me(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
}

static enum code code_of(const char *path)
{
	const char *base = strrchr(path, '/');

	if (base && strncmp(base, "/libexlock.so", 13) == 0)
		return CODE_SHIM;
	return base && strncmp(base, "/ld-", 4) == 0 ? CODE_LOADER : CODE_OTHER;
}

static enum code find_code(struct trace *trace, unsigned long instruction)
{
	struct trace_image *image = trace->image;
	struct range range = { 0 };
	char line[PATHS_MAX + 200];
	FILE *maps;

	for (int i = 0; i < image->ranges; i++)
		if (instruction >= image->range[i].start && instruction < image->range[i].end)
			return image->range[i].code;
	snprintf(line, sizeof line, "/proc/%d/maps", trace->pid);
	maps = fopen(line, "re");
	if (!maps)
		return CODE_OTHER;
	while (fgets(line, sizeof line, maps)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%lx-%lx", &range.start, &range.end) == 2 && instruction >= range.start && instruction < range.end) {
			range.code = code_of(line);
			if (image->ranges < 32)
				image->range[image->ranges++] = range;
			break;
		}
	}
	fclose(maps);
	return range.code;
}

static void begin_image(struct trace *trace)
{
	char name[40], path[PATHS_MAX];
	ssize_t length;

	snprintf(name, sizeof name, "/proc/%d/exe", trace->pid);
	length = readlink(name, path, sizeof path - 1);	// NOLINT(readability-suspicious-call-argument): not swapped
	path[length < 0 ? 0 : length] = '\0';
	*trace->image = (struct trace_image){ .number = trace->image->number + 1, .occurrence = trace->image->occurrence };
	trace->image->hop = length > 14 && strcmp(path + length - 14, "/exlock-launch") == 0;
}

static bool is_own(struct trace *trace, const struct syscall_info *info)
{
	struct trace_image *image = trace->image;
	enum code code = find_code(trace, info->instruction);

	if (image->number < trace->images)
		return false;
	if (!image->hop)
		return code == CODE_SHIM;
	image->begun |= code != CODE_LOADER;
	return image->begun;
}

static void poke(pid_t pid, size_t place, long value)
{
#ifdef __x86_64__
	ptrace(PTRACE_POKEUSER, pid, place, value);
#else
	(void)pid, (void)place, (void)value;
#endif
}

#ifdef __x86_64__
#define REGISTER(name) offsetof(struct user_regs_struct, name)
#else
#define REGISTER(name) 0
#endif

// At the entry of the call that is to fail.
static void apply(struct trace *trace)
{
	const struct fault *fault = &trace->fault;

	switch (fault->kind) {
	case FAULT_NONE:
		break;
	case FAULT_ERROR:
		// A close that fails has closed all the same.
		if (fault->number != SYS_close)
			poke(trace->pid, REGISTER(orig_rax), -1);
		trace->image->inject = true;
		break;
	case FAULT_SHORT:
		if (fault->value == 0) {
			poke(trace->pid, REGISTER(orig_rax), -1);
			trace->image->inject = true;
		} else {
			poke(trace->pid, REGISTER(rdx), fault->value);	// the third argument of all of them
		}
		break;
	case FAULT_STALL:
		trace->on(trace, TRACE_STALL);
		break;
	case FAULT_KILL_RIVAL:
		trace->on(trace, TRACE_STALL);
		// fall through
	case FAULT_KILL:
		kill(trace->pid, SIGKILL);
		break;
	case FAULT_KILL_AFTER:
		trace->image->inject = true;
		break;
	}
}

static bool sleeps(const struct syscall_info *info)
{
	return info->number == SYS_ppoll || info->number == SYS_nanosleep ||
	       (info->number == SYS_flock && !(info->arguments[1] & LOCK_NB));
}

static void at_entry(struct trace *trace, const struct syscall_info *info)
{
	const struct fault *fault = &trace->fault;

	trace->image->inject = false;
	if (info->number == SYS_getpgid && info->arguments[0] == MARK) {
		trace->in_main = true;
		trace->on(trace, TRACE_MAIN);
		return;
	}
	if (info->number == SYS_exit_group && trace->in_main)
		trace->on(trace, TRACE_LEAVING);
	if (!is_own(trace, info))
		return;
	if (trace->count < CALLS_MAX)
		trace->calls[trace->count++] = (long)info->number;
	if (sleeps(info))
		trace->on(trace, TRACE_WAITING);
	if ((long)info->number != fault->number || fault->kind == FAULT_NONE)
		return;
	trace->image->occurrence++;
	if (trace->image->occurrence == fault->occurrence || (fault->lasting && trace->image->occurrence > fault->occurrence)) {
		if (!trace->met)
			trace->met_after_main = trace->in_main;
		trace->met = true;
		apply(trace);
	}
}

static void at_exit_of_call(struct trace *trace)
{
	if (!trace->image->inject)
		return;
	trace->image->inject = false;
	if (trace->fault.kind == FAULT_KILL_AFTER)
		kill(trace->pid, SIGKILL);
	else
		poke(trace->pid, REGISTER(rax), trace->fault.kind == FAULT_ERROR ? -trace->fault.value : 0);
}

static bool await(struct trace *trace, pid_t pid)
{
	return trace_reap(pid, &trace->status);
}

// Lets the first process run until it has forked. Returns the child, 0 if there was none.
static pid_t find_child(struct trace *trace)
{
	unsigned long child = 0;

	ptrace(PTRACE_SETOPTIONS, trace->first, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC);
	for (int signal = 0;;) {
		ptrace(PTRACE_CONT, trace->first, 0, signal);
		if (!await(trace, trace->first) || !WIFSTOPPED(trace->status))
			return 0;
		signal = trace->status >> 16 ? 0 : WSTOPSIG(trace->status);
		if (trace->status >> 16 == PTRACE_EVENT_FORK) {
			ptrace(PTRACE_GETEVENTMSG, trace->first, 0, &child);
			ptrace(PTRACE_DETACH, trace->first, 0, 0);
			return await(trace, (pid_t)child) ? (pid_t)child : 0;
		}
	}
}

static void step(struct trace *trace)
{
	struct syscall_info info;

	if (ptrace(GET_SYSCALL_INFO, trace->pid, sizeof info, &info) <= 0)
		return;
	if (info.op == 1)
		at_entry(trace, &info);
	else if (info.op == 2)
		at_exit_of_call(trace);
}

bool trace_follow(struct trace *trace, pid_t first)
{
	struct trace_image image = { 0 };
	int signal = 0;

	// cppcheck-suppress autoVariables ; it is of no use after this
	trace->image = &image;
	trace->first = first;
	if (!await(trace, first) || !WIFSTOPPED(trace->status))
		return false;
	trace->pid = trace->process ? find_child(trace) : first;
	if (!trace->pid)
		return WIFEXITED(trace->status);
	if (!trace->process)
		ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC);
	for (;;) {
		ptrace(PTRACE_SYSCALL, trace->pid, 0, signal);
		if (!await(trace, trace->pid))
			return false;
		if (!WIFSTOPPED(trace->status))
			return true;
		signal = 0;
		if (trace->status >> 16 == PTRACE_EVENT_EXEC)
			begin_image(trace);
		else if (WSTOPSIG(trace->status) == (SIGTRAP | 0x80))
			step(trace);
		else if (trace->status >> 16 == 0)
			signal = WSTOPSIG(trace->status);
	}
}

bool trace_works(void)
{
#ifdef __x86_64__
	struct syscall_info info;
	int status;
	pid_t child = fork();
	bool works;

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) == -1)
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return false;
	works = ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD) == 0 &&
		ptrace(GET_SYSCALL_INFO, child, sizeof info, &info) > 0;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return works;
#else
	return false;
#endif
}
