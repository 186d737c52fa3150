// SPDX-License-Identifier: MIT
// Changing the program's environment before it looks at it, without libc's setenv (the program may have one of its own,
// and none would reach a reader of the initial block).
#ifndef EXLOCK_ENVIRONMENT_H
#define EXLOCK_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

struct setting {
	const char *variable;
	const char *value;	// "": the variable is emptied where it is present, never added
};

// Memory that stays as long as the process, for what is new. Where it does not suffice more is taken from the kernel.
struct environment_room {
	char *start;
	size_t size;
};

// Memory for SIZE bytes that stays as long as the process. NULL: there is none.
void *environment_take(struct environment_room *room, size_t size);

// Applies SETTINGS, COUNT of them, to ENVIRONMENT. A variable that is present with room for the value is
// rewritten in place; one that is too short gets a new text; one that is missing a new array, both out of ROOM, which becomes smaller.
// Returns the array to use, which may be ENVIRONMENT; or NULL: no memory, nothing but what fitted in place was changed.
char **environment_apply(char **environment, const struct setting *settings, int count, struct environment_room *room);

// Whether VARIABLE is there, with an empty value, too, which config_get() takes for none.
bool environment_has(char **environment, const char *variable);

// Takes VARIABLE out of ENVIRONMENT, in place. Pure.
void environment_remove(char **environment, const char *variable);

// Takes every entry whose base name is LIBRARY out of the LD_PRELOAD of ENVIRONMENT, in place.
void environment_strip_preload(char *const *environment, const char *library);

// Takes LIBRARY's entries out of VALUE, a list as in LD_PRELOAD (spaces and colons separate), in place. Pure.
void environment_strip_entries(char *value, const char *library);

#endif
