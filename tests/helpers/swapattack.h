// SPDX-License-Identifier: MIT
// What an attacker does to a lock file between two calls of its victim.
#ifndef EXLOCK_SWAPATTACK_H
#define EXLOCK_SWAPATTACK_H

#include <limits.h>
#include <sys/types.h>

struct scene {
	const char *lock;		// the lock file's path
	const char *secret;		// a file that must not change
	// In a folder that the attacker may write to: what is about to go into the lock file's place, a hard link to the secret file, and
	// what must never come to be.
	char new[PATH_MAX], link[PATH_MAX], nowhere[PATH_MAX];
};

struct scene swapattack_scene(const char *lock, const char *lair, const char *secret);

// Cleans up, and puts what START says in the lock file's place: none, mine (a stale file of ATTACKER's), root (root's).
void swapattack_prepare(const struct scene *scene, const char *start, uid_t attacker);

// WHAT is one of symlink, dangling, hardlink, fifo, folder, empty, stale, pid, remove, chmod, truncate, write. Does nothing where the
// kernel does not let it. Returns 0; or -1: no such attack.
int swapattack_do(const struct scene *scene, const char *what);

// Whether nothing was written, neither to the secret file nor to nowhere.
int swapattack_is_unharmed(const struct scene *scene);

#endif
