// SPDX-License-Identifier: MIT
#ifndef EXLOCK_MAPPINGS_H
#define EXLOCK_MAPPINGS_H

#include <stdbool.h>

// Whether one of the mappings that the file at PATH, a /proc/PID/maps, tells of can be such as keeps a lock: shared, and not to be
// touched (hold.c). A quick look without any text, since Linux 6.11; true where that is not to be had, and the text has to be read.
// False if PATH cannot be opened.
bool mappings_may_keep(const char *path);

#endif
