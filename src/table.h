// SPDX-License-Identifier: MIT
#ifndef EXLOCK_TABLE_H
#define EXLOCK_TABLE_H

#include <stddef.h>

// Prints ROWS of COLUMNS cells each, one after the other in CELLS, aligned, that of NUMBERS to the right; cut at the width of the
// terminal where standard output is one. Ends the process without memory.
void table_print(const char *const *cells, size_t rows, size_t columns, size_t numbers);

#endif
