// SPDX-License-Identifier: MIT
// The time that one start or one end may take for all its looks at other processes, and for waiting until they have ended: a
// quarter of a second. Each kind of look is made at least once. Whatever a stranger does, it costs no more than that.
#ifndef EXLOCK_BUDGET_H
#define EXLOCK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t end;		// pause_clock(); 0: not begun. The first look begins it: most starts and ends need none
	unsigned owed;		// so much may still be looked at when it is used up
};

// When BUDGET is used up. NULL stands for no limit: UINT64_MAX.
uint64_t budget_end(struct budget *budget);

// How much of BUDGET has gone by, in nanoseconds.
uint64_t budget_spent(struct budget *budget);

bool budget_is_over(struct budget *budget);

// Before the first look of a kind: on a busy machine the budget may be used up by then. A thousand processes, or the sixty-fold of their
// files, are looked at even so.
void budget_owe(struct budget *budget);

// Within a look: whether it has to end here.
bool budget_cuts(struct budget *budget);

#endif
