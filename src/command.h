// SPDX-License-Identifier: MIT
// The child that becomes the command. It is there before the lock is asked for, so that its PID can be told, and waits for the word. The
// kernel kills it at once when its parent is gone.
#ifndef EXLOCK_COMMAND_H
#define EXLOCK_COMMAND_H

#include "localhold.h"
#include "process.h"
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
	bool close;		// it does not inherit the local lock's descriptor
	pid_t pid;
	int handle;		// a pidfd of it; -1: none
	int channel[2];		// between the keeper and the child
};

enum go_how {
	GO_GUARDED,		// as the holder
	GO_FLAGGED,		// beside the holder
	GO_UNGUARDED,		// under the machine's lock alone
};

struct go {
	enum go_how how;
	uint64_t fence;		// 0: none
	uint64_t lease;		// of a guarded one
	struct process_self keeper;	// filled in by command_start()
	pid_t holder;		// of a flagged one; 0: not known
	struct signals_timers timers;
	char host[HOST_NAME_MAX + 1];
};

// Makes the channel. Ends the process where it cannot.
void command_open(struct command *command);

// Forks the child, which takes over the local lock and waits. Returns its PID; ends the process where it cannot.
pid_t command_fork(struct command *command, struct localhold *hold, const struct signals_before *before);

// In the parent: the channel is the keeper's and the child's alone.
void command_close(struct command *command);

// In the keeper: waits until the child with PID has taken over. False, with the reason said: it could not.
bool command_await(struct command *command, pid_t pid);

// Lets it become the command, with the timers of this process.
void command_start(struct command *command, struct go *go);

// Lets it end without having been anything.
void command_dismiss(struct command *command);

void command_signal(const struct command *command, int signal);

// Ends this process as a process ended that had STATUS, so that whoever waits sees the same.
_Noreturn void command_end_alike(int status);

#endif
