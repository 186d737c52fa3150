// SPDX-License-Identifier: MIT
// The descriptors that come with a mark: each has the flock of a lock that a launcher took, in this process before exec or in another one.
#ifndef EXLOCK_HANDOVER_H
#define EXLOCK_HANDOVER_H

#include "mark.h"

enum handover {
	HANDOVER_GONE,		// the number is another file's, or nobody's
	HANDOVER_OWN,		// this process has taken the lock
	HANDOVER_INHERITED,	// another one has
};

// Whose DESCRIPTOR, one of MARK's, is. Known by device, inode, and the process that it was left open for; another process' by the flock. The
// lock file's path may be out of reach from here.
enum handover handover_look(const struct mark *mark, const struct mark_descriptor *descriptor);

// For a program: keeps the outer locks of MARK that are its own or held by all descendants, by mappings. Closes their descriptors but where they
// are to stay open: those alone are left in MARK.
void handover_settle_outer(struct mark *mark);

// For a launcher: moves what MARK says to the outer locks of CARRIED, for the command. Closes what another process handed to another command.
// Returns a descriptor that has the flock of the file at PATH, which this process is about to take; 0: none.
int handover_bring(const struct mark *mark, const char *path, struct mark *carried);

#endif
