// SPDX-License-Identifier: MIT
#ifndef EXLOCK_COMMANDFILE_H
#define EXLOCK_COMMANDFILE_H

#include <limits.h>

// Finds the file that COMMAND names, as execvp(3) does with SEARCH for PATH (NULL: it is not set): COMMAND itself, or in CANDIDATE.
// Ends the process where there is none that can be run.
const char *commandfile_find(const char *command, const char *search, char candidate[PATH_MAX]);

#endif
