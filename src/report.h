// SPDX-License-Identifier: MIT
// Every word the user reads. All of it is bounded in time: a full or closed standard error delays and kills nobody.
#ifndef EXLOCK_REPORT_H
#define EXLOCK_REPORT_H

#include "config.h"
#include "lockname.h"

#include <sys/types.h>

// "Another 'NAME' process is already running (pid PID)."; without the parenthesis if PID is 0. Where PID is a start that has the machine's
// lock and waits for the cluster's, it says that.
void report_refused(const struct lockname *name, pid_t pid);

// The same with "(pid PID on HOST)", where HOST is not empty.
void report_refused_by_host(const struct lockname *name, pid_t pid, const char *host);

// The same about one that has ended: "Another 'NAME' process has already run (pid PID on HOST), and its name is still held."
void report_has_run(const struct lockname *name, pid_t pid, const char *host);

// "exlock: WHAT: WHY" and, where it is not NULL, " (ADVICE)". Where WHY is NULL it is the text of ERROR, an
// errno. WHAT may be the user's text.
void report_error(const char *what, int error, const char *why, const char *advice);

// Says that there is no /var/lock, and that the lock file is at PATH therefore.
void report_temporary(const char *path);

// "exlock-launch: " and WORDS, which end with NULL, one behind the other; each may be the user's text.
void report_launcher(const char *const *words);

// "exlock: VARIABLE='VALUE': WHY"
void report_config_error(const struct config_error *error);

// One line, "TIME [PID] ACTION PATH...", to where CONFIG wants its log; nothing if nowhere. ACTION is "Acquired lock at",
// "Released lock at", or in a cluster what becomes of the place in the queue.
void report_log(const struct config *config, const char *action, const char *path);

// The text of ERROR as strerror(3) has it in the C locale; for an unknown one, "error NUMBER" in static memory.
const char *report_errno(int error);

#endif
