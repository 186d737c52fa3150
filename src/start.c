// SPDX-License-Identifier: MIT
#include "start.h"

#include <elf.h>
#include <stddef.h>

// All of it weak and without version, so that the same file loads beside glibc and musl: glibc's loader keeps where the
// initial stack begins; musl has getauxval(3) alone (glibc has both, but a program may have a getauxval of its own).
extern void *__libc_stack_end __attribute__((weak));
extern char **environ __attribute__((weak));
extern unsigned long getauxval(unsigned long type) __attribute__((weak));

// In secure execution the loader takes variables out of the environment by moving the others down, which leaves one more
// NULL behind them for each. No vector begins with one.
static void take_auxiliary(struct start *start, char **behind_environment)
{
	const Elf64_auxv_t *entry;

	while (!*behind_environment)
		behind_environment++;
	start->secure = true;	// unless we are told that it is not
	for (entry = (const Elf64_auxv_t *)behind_environment; entry->a_type != AT_NULL; entry++) {
		if (entry->a_type == AT_EXECFN)
			start->execfn = (const char *)entry->a_un.a_val;
		else if (entry->a_type == AT_SECURE)
			start->secure = entry->a_un.a_val != 0;
	}
}

// argc, argv, NULL, environment, NULL, auxiliary vector.
static void take_stack(struct start *start, char **stack)
{
	static char **initial;
	char **environment;

	start->argv = ++stack;
	while (*stack)
		stack++;
	environment = ++stack;
	while (*stack)
		stack++;
	if (!&environ || !environ) {
		initial = environment;
		start->environment = &initial;
	}
	take_auxiliary(start, stack);
}

// The program's arguments lie directly before the environment: walk back to argc, which counts them. But another preload may
// have moved the environment from the initial stack, which is between here and the strings at its bottom.
static void take_environment(struct start *start)
{
	char **argv = environ - 1;

	if ((char *)environ > (char *)&argv && (char *)environ < (char *)getauxval(AT_EXECFN)) {
		for (long count = 0; (long)argv[-1] != count; argv--)
			count++;
		start->argv = argv;
	}
	start->execfn = (const char *)getauxval(AT_EXECFN);
	start->secure = getauxval(AT_SECURE) != 0;
}

bool start_find(struct start *start)
{
	*start = (struct start){ .environment = &environ };
	if (&__libc_stack_end && __libc_stack_end)
		take_stack(start, __libc_stack_end);
	else if (&environ && environ && getauxval)
		take_environment(start);
	else
		return false;
	return true;
}
