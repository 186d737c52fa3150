// SPDX-License-Identifier: MIT
// The descendants of this process, as /proc shows them.
#ifndef EXLOCK_FAMILY_H
#define EXLOCK_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct relative {
	pid_t pid, parent;
	uint64_t start;
	bool ended;
};

struct family {
	struct relative *members;
	size_t count, room;
	bool partial;		// not all of /proc could be read: there may be more
};

// All descendants but STRANGERS and theirs.
struct family family_look(const struct family *strangers);
void family_free(struct family *family);

// NULL: none has PID.
const struct relative *family_find(const struct family *family, pid_t pid);

// Whether ONE is a member, and not just one with its PID.
bool family_has(const struct family *family, const struct relative *one);

#endif
