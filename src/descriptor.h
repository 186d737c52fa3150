// SPDX-License-Identifier: MIT
#ifndef EXLOCK_DESCRIPTOR_H
#define EXLOCK_DESCRIPTOR_H

#include <stdbool.h>

// Where 0, 1 or 2 were closed, a file that is opened lands there, and whatever is printed would go into it. Returns FD, or
// a copy above them (FD is closed then); FD itself if there is no room for a copy.
int descriptor_move_up(int fd);

// From here on the numbers begin that descriptor_move_high() takes first.
#define DESCRIPTOR_HIGH 1000

// Below this a number may be one that the program counts on.
#define DESCRIPTOR_ASIDE 50

// Moves FD to a number that the program does not use, close-on-exec, at no great cost. Returns the number that it has now.
int descriptor_move_aside(int fd);

// A copy of FD under a number that programs do not use, close-on-exec unless INHERITABLE. -1: there is no room for one.
int descriptor_copy_high(int fd, bool inheritable);

// Moves FD to such a number. Returns it; FD itself if there is no room for a copy.
int descriptor_move_high(int fd, bool inheritable);

#endif
