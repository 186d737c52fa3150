// SPDX-License-Identifier: MIT
// The launcher's messages: "exlock-launch: " and WORDS, strings of ours and of the user's alike, as report.h has them.
#ifndef EXLOCK_COMPLAIN_H
#define EXLOCK_COMPLAIN_H

#include "config.h"
#include "report.h"

#include <stdlib.h>

#define COMPLAIN(...) report_launcher((const char *const[]){ __VA_ARGS__, NULL })

// The same, and the end of the process.
#define FAIL_WITH(status, ...) (COMPLAIN(__VA_ARGS__), exit(status))
#define FAIL(...) FAIL_WITH(CONFIG_EXIT_ERROR, __VA_ARGS__)

#endif
