// SPDX-License-Identifier: MIT
// What the user asked for: EXCLUSIVELOCK_* of an environment, understood. Pure: reads nothing but its arguments.
#ifndef EXLOCK_CONFIG_H
#define EXLOCK_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_PREFIX "EXCLUSIVELOCK_"

// Exit statuses that are not the user's choice.
#define CONFIG_EXIT_LOST 123		// of a cluster's: the command had begun
#define CONFIG_EXIT_ERROR 125		// nothing was started
#define CONFIG_EXIT_CANNOT_RUN 126
#define CONFIG_EXIT_NOT_FOUND 127

enum on_held { ON_HELD_ABORT, ON_HELD_FLAG, ON_HELD_WAIT };

// All strings point into the environment that was parsed.
struct config {
	const char *name;	// NULL: derive it from the program
	const char *dir;	// NULL: the default directory; LOCKDIR_WORD: the user's own
	const char *log_path;	// NULL: none
	uint64_t timeout_ns;	// UINT64_MAX: no limit
	enum on_held on_held;
	int exit_code;
	pid_t replaced;		// whom the launcher has asked to end, for --replace; 0: nobody
	bool by_args;
	bool quiet;
	bool log_stderr;
	bool scope_tree;
	bool run_on_error;
};

// What could not be understood. WHY is a clause that fits behind a colon.
struct config_error {
	const char *variable;
	const char *value;
	const char *why;
};

// The value of VARIABLE (with its prefix) in ENVIRONMENT; NULL if unset or empty.
const char *config_get(char *const *environment, const char *variable);

// Those entries of ENVIRONMENT that begin with CONFIG_PREFIX, in OWN, which is returned and ends with NULL; ENVIRONMENT itself where there
// are more than CONFIG_OWN: the others need not be looked at again for each variable.
#define CONFIG_OWN 40
char *const *config_own(char *const *environment, char *own[CONFIG_OWN + 1]);

// Understands VALUE, seconds as in "2" or "0.5", or another time as timeout(1) has it: "30s", "5m", "2h", "1d". False: it is none.
bool config_parse_time(const char *value, uint64_t *nanoseconds);
#define CONFIG_TIME_WORDS "must be a time, as in 2, 0.5, 5m, 2h or 1d"

// Fills CONFIG from ENVIRONMENT. False: ERROR says what is wrong.
bool config_parse(char *const *environment, struct config *config, struct config_error *error);

#endif
