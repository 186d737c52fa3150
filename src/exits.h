// SPDX-License-Identifier: MIT
// _exit() and _Exit(), which the library defines for the program. Many programs end by them, dash for one, and run no exit handler.
#ifndef EXLOCK_EXITS_H
#define EXLOCK_EXITS_H

// Finds out which functions the program would call without this library. Called once, by this library's constructor, whatever else
// that does. No later call looks for anything: at the end another thread may have the loader's lock.
void exits_prepare(void);

#endif
