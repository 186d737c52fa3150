// SPDX-License-Identifier: MIT
// Which processes may have been forked by another one: found from above, by what the kernel lists as a process' children.
#ifndef EXLOCK_RELATIVES_H
#define EXLOCK_RELATIVES_H

#include "budget.h"
#include "process.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// PID, a relative; CERTAIN: it is a descendant of this process, beyond doubt. Returns true to end the search.
typedef bool relatives_visit(void *context, pid_t pid, bool certain);

// Visits the descendants of this process, children first. Then, not certain, those processes below one of its ancestors that began
// after SELF: a descendant whose parent has ended is among them, for the kernel gives it to an ancestor. Where the kernel does not
// list children, every process that began after SELF is visited, as not certain. SELF NULL: descendants only.
void relatives_of_self(const struct process_self *self, relatives_visit *visit, void *context, struct budget *budget);

// Visits, none as certain, those processes that may have kept a lock whose holder has ended: any. The kernel gives a number again once
// all others have been given, so no number tells whose descendant a process is; and another user's holder may be in no record.
void relatives_of_dead(relatives_visit *visit, void *context, struct budget *budget);

// The number that the kernel has given to the latest process or thread. False: it does not tell.
bool relatives_last_number(uint64_t *last);

// Whether a descendant of this process shares its memory, clone(CLONE_VM): what one of both unmaps the other one loses.
bool relatives_share_memory(struct budget *budget);

#endif
