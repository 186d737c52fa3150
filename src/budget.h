// SPDX-License-Identifier: MIT
// The time that one start or one end may take for all its looks at other processes, and for waiting until they have ended: a
// quarter of a second. Each kind of look is made at least once. Whatever a stranger does, it costs no more than that.
#ifndef EXLOCK_BUDGET_H
#define EXLOCK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t end;		// pause_clock(); 0: not begun. The first look begins it: most starts and ends need none
};

// When BUDGET is used up. NULL stands for no limit: UINT64_MAX.
uint64_t budget_end(struct budget *budget);

// How much of BUDGET has gone by, in nanoseconds.
uint64_t budget_spent(struct budget *budget);

bool budget_is_over(struct budget *budget);

#endif
