// SPDX-License-Identifier: MIT
#ifndef EXLOCK_BECOME_H
#define EXLOCK_BECOME_H

// For a message: TEXT without a byte that could drive a terminal, in memory of its own. Leaves errno.
const char *shown(const char *text);

// Runs FILE with the arguments COMMAND, as execvp(3) would: a script without "#!" is the shell's. Ends the process where it cannot.
_Noreturn void become(const char *file, char **command);

#endif
