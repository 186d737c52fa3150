// SPDX-License-Identifier: MIT
// Which process: its identity (PID and start time), whether it lives, whose child it is.
#ifndef EXLOCK_PROCESS_H
#define EXLOCK_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

// No start time is known; a real one counts clock ticks since boot, and this many never pass.
#define PROCESS_START_UNKNOWN UINT64_MAX

// From /proc/PID/stat, see proc_pid_stat(5).
struct process_stat {
	pid_t pid;
	pid_t parent;
	pid_t session;
	char state;
	uint64_t flags;		// the kernel's PF_*
	long threads;
	uint64_t cpu_ticks;	// used so far, in hundredths of a second
	uint64_t start;		// field 22: clock ticks since boot, as the time namespace of who reads it has them; the same across exec, never
				// the same twice for one PID.
};

// Understands the text of /proc/PID/stat. Pure. False: it is not one.
bool process_parse_stat(const char *text, size_t length, struct process_stat *status);

// Understands what /proc/PID/ns/pid links to, "pid:[NUMBER]", see namespaces(7). Pure. False: it is none such.
bool process_parse_namespace(const char *text, size_t length, uint64_t *number);

// Understands the text of /proc/self/timens_offsets, see time_namespaces(7): by how many clock ticks the time since boot is shifted.
// Pure. False: it is none such, or by no whole number of ticks.
bool process_parse_offsets(const char *text, size_t length, int64_t *ticks);

// Reads /proc/PID/stat; PID 0 is this process. Returns 0, or -1 and errno: ENOENT or ESRCH (no such process, no
// /proc, or hidden), EMFILE... EBADMSG: the text makes no sense.
int process_read_stat(pid_t pid, struct process_stat *status);

// The start time by which a process of this PID namespace is known in records and marks: as the first time namespace has it, and in any PID
// namespace but the first plus a number of the namespace's. PROCESS_START_UNKNOWN where that is not told.
uint64_t process_start(const struct process_stat *status);

// This process. Start is PROCESS_START_UNKNOWN without a /proc of our own PID namespace.
struct process_self {
	pid_t pid;
	pid_t session;
	uint64_t start;
	uint64_t space;		// the PID namespace's number; 0: not known
};

struct process_self process_self(void);

// Whether this process, PID, is in another PID namespace than SELF, the process that forked it, was: then SELF's number, and those of others
// that SELF knew, say nothing here, whatever /proc there is.
bool process_has_moved(pid_t pid, const struct process_self *self);

// Whether /proc is of another PID namespace than ours, so that its numbers say nothing about our processes. Known once
// process_self() was called.
bool process_proc_is_foreign(void);

// Whether this process is in the first PID namespace, and /proc with it: no process of the machine is out of its sight by that.
bool process_sees_all(void);

// The stamp that tells PID's present owner from a later one: the start time modulo 10^9, so that it fits the
// nanoseconds of a file time. PROCESS_NO_STAMP if START is unknown.
#define PROCESS_NO_STAMP UINT32_MAX
uint32_t process_stamp(uint64_t start);

// Whether nothing of the process is left that could run: it is a zombie with no thread left, or less.
bool process_has_ended(const struct process_stat *status);

// Whether STAMP belongs to the process of STATUS. True where that cannot be told.
bool process_began_at(const struct process_stat *status, uint32_t stamp);

// Whether PID is a process that has not ended, and that STAMP (unless it is PROCESS_NO_STAMP) belongs to. Where /proc does not tell but the process is there: true.
bool process_alive(pid_t pid, uint32_t stamp);

// Whether PID is a process that has not ended and is known by START. False where /proc does not tell.
bool process_is_instance(pid_t pid, uint64_t start);

// Whether PID began before TIME, by the wall clock as it is set now. Where the clock was set forward since TIME, false; set back since, true
// of a process that began too late by less than that, but false until the clock is at TIME again.
bool process_began_before(pid_t pid, const struct timespec *time);

// Whether PID has begun to end, or has ended. (A process that calls exec gives up its mappings, too, but does not end.)
bool process_is_ending(pid_t pid);

// Whether the process of STATUS began less than so many TICKS, hundredths of a second, ago.
bool process_is_younger(const struct process_stat *status, uint64_t ticks);

// Whether this process has children that live, or that nobody has waited for. Also true if that cannot be told.
bool process_has_children(void);

// Whether this process has forked, ever, others that may have forked in turn. Also true if that cannot be told.
bool process_has_forked(void);

// Whether this process and its parent have one memory, as after vfork(2). False where the kernel does not tell (no kcmp(2)).
bool process_shares_memory(void);

// Whether the process that forked this one has ended. Known only where whoever adopted it is of another session, and false
// elsewhere.
bool process_is_orphan(void);

// Whether this process may descend from PID although that is no ancestor by parent: it, or an ancestor, is no older than PID and
// has lost its parent. That is certain of one that is in a session of another process and not in its parent's. Of one whose
// parent is the first process it is taken for granted, so what that starts itself with a replayed environment (a service of
// systemd's, younger than PID) counts, too; and what another reaper of orphans adopted after it began a session of its own
// does not. True also where /proc is of another PID namespace.
bool process_may_descend(pid_t pid);

// Whether PID began at START or later, by which a process of this PID namespace is known in records and marks. False where /proc does not tell.
bool process_began_since(pid_t pid, uint64_t start);

// Whether this process, or an ancestor, began at START or later and has lost its parent, as in process_may_descend().
bool process_lost_parent_since(uint64_t start);

// The nearest ancestor for which VISIT returns true; 0 if none.
pid_t process_find_ancestor(bool (*visit)(pid_t pid, const void *context), const void *context);

#endif
