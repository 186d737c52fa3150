// SPDX-License-Identifier: MIT
#ifndef EXLOCK_SHOWN_H
#define EXLOCK_SHOWN_H

// For a message: TEXT without a byte that could drive a terminal, in memory of its own. Leaves errno.
const char *shown(const char *text);

#endif
