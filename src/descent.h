// SPDX-License-Identifier: MIT
// Whether this process descends from the holder: then it runs, whatever it is.
#ifndef EXLOCK_DESCENT_H
#define EXLOCK_DESCENT_H

#include "mark.h"
#include "process.h"

#include <stdbool.h>

// Whether MARK, which this process inherited, makes it a descendant of who holds the lock file at PATH. Opens, reads and looks while
// the instance lives, nothing else: the process may be in a sandbox.
//
// A mark alone proves nothing, for environments are replayed (by at, tmux, systemd, a script). While the process that the mark
// names lives and is recorded, it has to be an ancestor, or an ancestor that began after it has to have lost its own parent: see
// process_may_descend(), also for the replays that pass by that. Where that process cannot be seen (from another PID namespace),
// the flock that it took has to be taken. Once it has ended, the mark counts
// - for who descends from the process that it left the lock to, by the record;
// - for who descends from one that keeps the flock which the instance took, where no record names that one: an ancestor maps the file, or may, or
//   an ancestor, or it itself, has lost its parent and inherited the mark as the instance wrote it;
// - for a child that it forked in its last moment: an orphan in its session. Never while the record names another living process.
//   A child that takes no preload (a static program) and survives it can start such orphans later; they run without the lock.
bool descent_by_mark(const struct mark *mark, const char *path);

// For a process with a mark of its own, from before it called exec: whether the file at PATH says so, too, or is out of its
// reach.
bool descent_own(const char *path, const struct process_self *self);

// For a process that lost its mark, before it is refused: whether one of its ancestors is HOLDER (0: nobody). HOLDER must be by a
// record that is alive and credible: every process descends from PID 1. That an ancestor maps the lock file, or has it open, proves
// nothing: anybody may map what he may read.
bool descent_from(pid_t holder);

// The same for the process that the record of the file at PATH names now, if that is alive and credible.
bool descent_by_record(const char *path);

#endif
