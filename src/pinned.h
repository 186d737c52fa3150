// SPDX-License-Identifier: MIT
// A dead holder's flock that lasts because somebody looks at its memory. Whoever reads /proc/PID/cmdline or smaps of a process keeps
// its memory, and with that its mappings, until the read is over: on a busy machine that may take seconds.
//
// The lock is then taken by the record alone. Nobody else can be there:
//  1. The flock is busy, so no start that came after the holder has got in by it: /proc/locks shows the same taker all the time, and
//     that is dead.
//  2. The record still names the dead holder, so none has got in by the record.
//  3. No process maps the file or has it open: neither the holder, nor any that was forked from it or got a descriptor from it. Those
//     that are born during the look are looked at after it, for one can be forked behind its back while its parent ends.
//  4. All processes can be seen, so 3 is certain: by root in the first PID namespace. Otherwise this is no way in.
//  5. The record is written under its lock. A start that gets the flock afterwards reads it, and is refused.
//  6. Then the taker is looked at again. If it is another one, flock(1) may have got in between 3 and 5: the record is taken back.
//     Where there are too many locks to see the taker, it is looked again who has the file open: flock(1) has.
// What was taken so holds by its PID and its mapping, and has the flock when that comes free within the budget. Without it, flock(1)
// can get in later, as it can between exec and the start of the new program.
#ifndef EXLOCK_PINNED_H
#define EXLOCK_PINNED_H

#include "claim.h"
#include "keepers.h"

#include <stdbool.h>

// What the looks of one start have shown.
struct pinned {
	int looks;
	pid_t taker;		// who took the flock; -1: there are too many locks to see
};

// Looks once. Whether it is certain that nobody keeps FILE's flock who could run.
bool pinned_look(struct pinned *pinned, const struct mapped_file *file);

// Writes SELF into the record of FILE, without the flock. CLAIM_TAKEN: CLAIM's file is open; anything else: it is not.
enum claim_result pinned_take(const struct pinned *pinned, const struct mapped_file *file, const struct process_self *self,
			      struct claim *claim);

#endif
