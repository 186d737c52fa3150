/* SPDX-License-Identifier: MIT */
/* What the code remembers, and the questions it asks. What a process has seen is its own; between two steps it may be outdated. */

byte seen_pid[SLOTS + 1];	/* a record, as read */
byte seen_stamp[SLOTS + 1];
byte seen_hints[SLOTS + 1];
byte other[SLOTS + 1];		/* the process it waits for, or is about to record */
byte set[SLOTS + 1];		/* the processes that were ending when it looked, one bit each */
byte remembered[SLOTS + 1];	/* struct lockfile's inode, or mapped_file's */
bool created[SLOTS + 1];
bool again[SLOTS + 1];		/* resume(), or the second try of lockfile_leave() */
bool awaited[SLOTS + 1];	/* who leaves has seen somebody wait */
bool own[SLOTS + 1];		/* this image was exec'd by the holder */

#define INSTANCE(p) (parent[p] -> parent[p] : p)
#define SEES_OWN (seen_pid[p] == pid_of[p] && seen_stamp[p] == STAMP(p))
#define SEES_LIVING ALIVE(seen_pid[p], STAMP(seen_stamp[p]))
#ifdef NO_START_TIME
#define STAMP(s) 0
#undef SEES_OWN
#define SEES_OWN (seen_pid[p] == pid_of[p])
#else
#define STAMP(s) (s)
#endif
#ifdef NO_OWN_RECORD
#undef SEES_OWN
#define SEES_OWN false
#define IS_OTHER true
#else
#define IS_OTHER (seen_pid[p] != pid_of[p])
#endif

#define ENDING_BIT(q) ((life[q] == ENDING) << q)
#define ENDINGS (ENDING_BIT(1) | ENDING_BIT(2) | ENDING_BIT(3) BITS4(ENDING_BIT(4)) BITS5(ENDING_BIT(5)) BITS6(ENDING_BIT(6)))

/* has_family(): whether this process was forked from the holder, or has children that it has not waited for. */
#define IS_CHILD(q) (parent[q] == p && (life[q] == LIVES || life[q] == ENDING))
#define HAS_FAMILY (role[p] == Child || EACH_PROCESS(IS_CHILD))
#define DELETE_STEP (HAS_FAMILY && !NO_FAMILY -> Family : Delete)

#define KEEPS_MAPPING(q) (q != p && life[q] != GONE && map[q] && inode_of[map[q]] == remembered[p])

/* keep_turn(): the recorded process lives, or the one that keeps the lock by a mapping still has it. */
#define KEEPS_LOCK(q) (life[q] != GONE && map[q] && inode_of[map[q]] == FILE)
#define STILL_HELD (other[p] -> KEEPS_LOCK(other[p]) : SEES_LIVING)
#define SAME_RECORD (record_pid[FILE] == seen_pid[p] && record_stamp[FILE] == seen_stamp[p])

/* is_leaving(): by the kernel's word or by its tombstone. */
#define IS_GOING(q) (life[q] == ENDING || tomb[q])
#define LEAVES(q) (IS(q, seen_pid[p], STAMP(seen_stamp[p])) && IS_GOING(q))
#define SEES_LEAVING (other[p] -> IS_GOING(other[p]) : EACH_PROCESS(LEAVES))

/* Who has taken the flock is neither this process nor the one from which it was forked, and lives: has_heir(). */
#define FLOCK_TAKER OPENER(flocked[remembered[p]])
#define OTHER_HAS_FLOCK (flocked[remembered[p]] && pid_of[FLOCK_TAKER] != pid_of[p] && \
	pid_of[FLOCK_TAKER] != pid_of[INSTANCE(p)] && PID_LIVES(pid_of[FLOCK_TAKER]))
#define SEES_HINT(which) ((seen_hints[p] & which) != 0)
#define IS_LAST (flocked[FILE] == fd[p])
#define MAPPED_STEP (SEES_HINT(MAPPED_HINT) -> HandOnMapped : LAST_STEP)
#define LAST_STEP (IS_LAST -> DELETE_STEP : Word)

#ifdef NO_PATH_CHECK
#define SAME_FILE true
#define STILL_THERE true
#else
#ifdef NO_FLOPEN_CHECK
#define SAME_FILE true
#else
#define SAME_FILE (path == FILE)
#endif
#ifdef NO_LAST_LOOK
#define STILL_THERE true
#else
#define STILL_THERE (path == FILE)
#endif
#endif

#ifdef NO_RECORD_LOCK
#define RECORD_IS_FREE true
#else
#define RECORD_IS_FREE (record_locked[FILE] == NOBODY)
#endif

inline lock_record() { record_locked[FILE] = p }
inline unlock_record() { if :: record_locked[FILE] == p -> record_locked[FILE] = NOBODY :: else fi }

inline see(inode)
{
	seen_pid[p] = record_pid[inode];
	seen_stamp[p] = record_stamp[inode];
	seen_hints[p] = hints[inode]
}

/* record_hint(), on the open file: a mode is read, and written as a whole. */
#ifndef STALE_HINTS
#define MODE hints[FILE]
#define MODE_IS_FREE(inode) (record_locked[inode] == NOBODY)
#else
#define MODE seen_hints[p]
#define MODE_IS_FREE(inode) true
#endif
inline set_hint(which)
{
	if
	:: SEES_HINT(which)
	:: else -> hints[FILE] = MODE | which
	fi
}

/* With the record that it was said of. */
inline unhint_left()
{
	if
	:: SEES_HINT(LEFT_HINT) && !LEFT_FOR_EVER -> hints[FILE] = seen_hints[p] - LEFT_HINT
	:: else
	fi
}

/* other[p]: a process that maps the inode; 0: none. */
inline find_mapper(inode)
{
	other[p] = 0;
	i = 1;
	do
	:: i <= SLOTS ->
		if
		:: i != p && life[i] != GONE && map[i] != 0 && inode_of[map[i]] == inode -> other[p] = i; break
		:: else -> i++
		fi
	:: else -> break
	od
}

inline find_tombstone()
{
	other[p] = 0;
	i = 1;
	do
	:: i <= SLOTS ->
		if
		:: i != p && tomb[i] -> other[p] = i; break
		:: else -> i++
		fi
	:: else -> break
	od
}

/* The program runs. The promise is looked at here and nowhere else: it can only be broken by an entry. */
inline enter()
{
	inside[p] = INSTANCE(p);
	entered = true;
	i = 1;
	do
	:: i <= SLOTS ->
		assert(inside[i] == 0 || inside[i] == inside[p] || EXCUSED(p, i));
		i++
	:: else -> break
	od;
	forget();
	own[p] = false;
	at[p] = Main
}

/* How an attempt ends that found the lock held. Who waits keeps the flock while the holder is leaving. */
inline held()
{
	if
	:: role[p] != Waiter -> close_file(); at[p] = Refused
	:: role[p] == Waiter && SEES_LEAVING -> unlock_record(); at[p] = KeepTurn
	:: else -> close_file(); at[p] = Watch
	fi
}

/* descent_by_mark(), of a child that has called exec, and of a process with an environment that somebody has kept: both
   have the mark of process 1, and the latter another parent. */
#define MARK_LIVES (life[1] == LIVES || life[1] == ENDING)
#define HAS_ANCESTOR(q) (parent[p] == (q) && life[q] != GONE)
#define IS_LATE (parent[p] == 1 && life[1] == GONE)
#define ANCESTOR_MAPS (parent[p] && map[parent[p]] && inode_of[map[parent[p]]] == path)

/* keeps_flock(): busy, and not by a contender that is just about to write its record. */
#define TAKER OPENER(flocked[path])
#define KEEPS_FLOCK (path && flocked[path] && record_pid[path] == pid_of[1] && record_stamp[path] == 1 && \
	(BELIEVES_ANY_FLOCK || TAKER == 1 || life[TAKER] == GONE))
#define TREE_LIVES(q) ((life[q] == LIVES || life[q] == ENDING) && (q == 1 || parent[q] == 1))

/* Runs beside the holder, unguarded: that is for its own children alone. Of who has a copy of its mark the code can only
   tell that the instance is there. */
inline pass_by()
{
	assert(parent[p] == 1 || EACH_PROCESS(TREE_LIVES));
	at[p] = Die
}

/* What the leaving process has given up, for those who see no tombstone: 1: the flock, 2: the name. */
byte given_up[SLOTS + 1];
bool leaving[SLOTS + 1];

#define WAITS(q) (at[q] == TakeFlock && role[q] == Waiter && inode_of[fd[q]] == remembered[p])
/* keepers_find_waiters(): where nobody has the flock the kernel's list does not tell. */
#define HAS_WAITERS (EACH_PROCESS(WAITS) || flocked[remembered[p]] == 0)

/* A peer locks what it has opened without a second look at the path. If the file was deleted in between, it runs under a lock
   that nobody can see: it excludes nobody, not even its own kind. Such a run is not followed any further, unless asked. */
#define PEER_IS_LOST (path != FILE && !PEER_GAP)

/* A holder that has called exec, before the new image's constructor took the flock again: its PID holds the lock alone, and
   that is not for flock(1) to see. Such a run is not followed either, unless asked. */
#define HAS_CALLED_EXEC(q) (own[q] && inside[q])
#define MEETS_EXEC (EACH_PROCESS(HAS_CALLED_EXEC) && !EXEC_GAP)

/* The same for a holder that took the lock by the record, while a dead process' memory has the flock. */
#define HAS_RECORD_ONLY(q) (life[q] != GONE && ((map[q] && flocked[inode_of[map[q]]] != map[q]) || \
	((at[q] == PinnedKeep || at[q] == Keep) && flocked[inode_of[fd[q]]] != fd[q])))
#define MEETS_RECORD (EACH_PROCESS(HAS_RECORD_ONLY) && !PINNED_GAP)

/* pinned_look(): dead memory is nobody's to see. */
#define HAS_PATH_OPEN(q) (q != p && life[q] == LIVES && ((fd[q] && inode_of[fd[q]] == path) || (map[q] && inode_of[map[q]] == path)))

