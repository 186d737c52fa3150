// SPDX-License-Identifier: MIT
// What exlockctl says about the locks of a cluster, as its environment names it. It looks, and takes none.
#ifndef EXLOCK_CLUSTERLIST_H
#define EXLOCK_CLUSTERLIST_H

#include <stdbool.h>

enum clusterlist_form { CLUSTERLIST_PEOPLE, CLUSTERLIST_JSON, CLUSTERLIST_NAMES };

// Prints all locks that are held or waited for. Ends the process where it cannot.
void clusterlist_all(enum clusterlist_form form);

// Prints one lock, or the one that keeps it from being had. Returns whether there is either.
bool clusterlist_one(const char *name, enum clusterlist_form form);

#endif
