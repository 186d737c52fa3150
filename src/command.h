// SPDX-License-Identifier: MIT
// The keeper's child that becomes the command. It is there before the lock is asked for, so that its PID can be told, and waits for
// the word. The kernel kills it at once when the keeper is gone.
#ifndef EXLOCK_COMMAND_H
#define EXLOCK_COMMAND_H

#include "localhold.h"
#include "signals.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct command {
	const char *file;
	char **arguments;	// with its name
	const char *shim;	// to be preloaded; NULL: nothing of ours is
	const char *preload;	// the user's own
	pid_t pid;
	int channel;		// to the child; -1: closed
	bool ended;
	int status;		// then, as waitpid(2) has it
};

enum go_how {
	GO_GUARDED,		// as the holder
	GO_FLAGGED,		// beside the holder
	GO_UNGUARDED,		// under the machine's lock alone
};

struct go {
	enum go_how how;
	uint64_t fence;
	pid_t holder;		// of a flagged one; 0: not known
	char host[HOST_NAME_MAX + 1];
};

// Forks the child, which takes over the local lock and waits. False, with the reason said: it could not, and is gone.
bool command_prepare(struct command *command, struct localhold *hold, const struct signals_before *before);

// Lets it become the command. False: it is gone.
bool command_start(struct command *command, const struct go *go);

// Lets it end without having been anything: it gives the local lock back.
void command_dismiss(struct command *command);

// Remembers that a child of this process has ended, if it is this one.
void command_reaped(pid_t pid, int status, void *command);

// Ends this process as the command has ended, so that whoever waits sees the same.
_Noreturn void command_end_alike(const struct command *command);

#endif
