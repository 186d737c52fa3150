// SPDX-License-Identifier: MIT
// The mark that the command of a cluster's lock and all that it starts inherit, EXCLUSIVELOCK_CLUSTER_INSTANCE: "PID.START.LOCK.KEEPER.START.LEASE.FENCE". A
// launcher that is called inside for the same lock knows by it that there is nothing to take.
#ifndef EXLOCK_CLUSTERMARK_H
#define EXLOCK_CLUSTERMARK_H

#include "config.h"
#include "digest.h"
#include "text.h"

#include <stdint.h>
#include <sys/types.h>

// Room for the mark's beginning.
#define CLUSTERMARK_MAX (2 * TEXT_NUMBER_MAX + DIGEST_HEX + 2)

// Its beginning, "PID.START.LOCK.": the command, in scope tree its keeper, and a digest of the lock's name, the prefix and the endpoints in ENVIRONMENT.
void clustermark_begin(char *const *environment, pid_t pid, uint64_t start, char buffer[CLUSTERMARK_MAX]);

#endif
