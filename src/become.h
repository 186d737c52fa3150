// SPDX-License-Identifier: MIT
#ifndef EXLOCK_BECOME_H
#define EXLOCK_BECOME_H

// Runs FILE with the arguments COMMAND, as execvp(3) would: a script without "#!" is the shell's, for which the place before COMMAND is
// written to. Ends the process where it cannot.
_Noreturn void become(const char *file, char **command);

// What its message ends with where FILE cannot be run; NULL: nothing.
extern const char *become_note;

#endif
