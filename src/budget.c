// SPDX-License-Identifier: MIT
#include "budget.h"

#include "pause.h"

#include <stddef.h>

#define BUDGET_NS UINT64_C(250000000)
#define LOOKS_OWED 1000

uint64_t budget_end(struct budget *budget)
{
	if (!budget)
		return UINT64_MAX;
	if (budget->end == 0)
		budget->end = pause_clock() + BUDGET_NS;
	return budget->end;
}

uint64_t budget_spent(struct budget *budget)
{
	uint64_t end = budget_end(budget);

	return pause_clock() - (end - BUDGET_NS);
}

bool budget_is_over(struct budget *budget)
{
	uint64_t end = budget_end(budget);

	return end != UINT64_MAX && pause_clock() >= end;
}

void budget_owe(struct budget *budget)
{
	if (budget)
		budget->owed = LOOKS_OWED;
}

bool budget_cuts(struct budget *budget)
{
	if (!budget_is_over(budget))
		return false;
	if (budget->owed == 0)
		return true;
	budget->owed--;
	return false;
}
