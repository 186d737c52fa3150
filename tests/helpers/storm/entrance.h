// SPDX-License-Identifier: MIT
// How the victim gets in, and what is wrong if it cannot.
#ifndef ENTRANCE_H
#define ENTRANCE_H

#include "tally.h"

// What a victim begins next.
enum step {
	MAIN, COMMAND, CLOSE_ALL, WORKERS, DAEMON_EXIT, DAEMON__EXIT, SUCCESSOR, EXEC_ITSELF, EXEC_TWIN,
	EXIT, RAW_EXIT, CAPITAL_EXIT, QUICK_EXIT, ABORT, SIGKILLED,
};

// Takes the oracle without waiting, and returns its descriptor. Where somebody has it, says who, and ends the process.
int entrance_take_oracle(struct tally *tally, const char *folder, int slot);

#endif
