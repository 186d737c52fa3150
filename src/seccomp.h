// SPDX-License-Identifier: MIT
// Whether this program has put itself under seccomp, or Syscall User Dispatch. A filter may kill for any system call, the ones of our exit handler,
// too, and there is no way to ask without a system call. So it is learnt when it happens: by prctl() and syscall(),
// which the library defines for the program.
#ifndef EXLOCK_SECCOMP_H
#define EXLOCK_SECCOMP_H

#include <stdbool.h>

// Finds out what is behind the two, once, for this library's constructor, whatever else that does. No later call looks for anything.
void seccomp_prepare(void);

bool seccomp_entered(void);

#endif
