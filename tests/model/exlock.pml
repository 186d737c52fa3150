/* SPDX-License-Identifier: MIT */
/* The protocol of the lock file, one system call a step, for spin(1): ./run searches every order of these steps.

   What is asked. (1) Never two inside: enter() asserts it. A program is inside from the end of its constructor until the kernel
   has closed its files, long after the exit handler; processes forked from it belong to the same instance. (2) Never a lock that
   nobody can take: a Prober starts when all else has ended, in whatever way, and must get in within three attempts; unless some
   process was killed, somebody must have got in before. (3) A holder's own exec, and its children, are never refused. (4) Nobody
   is left asleep: a state with no step left in which not all have ended is an error (an "invalid end state").

   Who takes part. Every slot is one proctype process() with a role: Program (a start under the shim, ON_HELD=abort), Waiter
   (ON_HELD=wait), Child (forked by process 1 while that is in its program; it leaves, or calls exec and is known by its mark),
   Replayer (a start with a copy of the mark of process 1), Bystander (any process, for its PID), Python and Flock (the peers),
   Prober. kernel.pml: files and processes; state.pml: what the code has seen, and what it asks; steps-*.pml: the code, a rule for
   each system call that others can see, named after the functions in src/. KILLS of them are killed, at any step.

   What is left out, and why that does no harm. A descriptor and a mapping are owners of one open file description, and so is
   all that tree scope would add. Content and stamp of a record are written in two steps but read in one: a reader that sees
   halves sees a dead process, as in between the two writes. record_peek() opens and reads in one step: what it reads of a file
   that is replaced just then leads to a refusal or to another look. Deadlines have no length: what may time out may do so at
   any time, or never; but holder_await_endings() always waits to the end, and resume() tries as long as nobody maps the file and
   no other has its flock (the code does both within its budget; RESUME_GIVES_UP). Each hint is set in one step,
   for that is done under the short lock (STALE_HINTS), and LEFT goes in one step with the old record: without it there is more
   to be waited for, not less. The number of tombstones is not limited; TOMBSTONES_FAIL is the same. An inode number is used
   again at once. Not here: scope tree, lost marks, namespaces, directories without /proc, errors.

   What is excused, each by a switch that a test turns over to see the run it hides. PEER_GAP: a peer does not look at the path
   again after it got its lock, so between its open and its lock a deletion makes it the owner of nothing. EXEC_GAP: between a
   holder's exec and its new constructor its PID alone holds the lock, which flock(1) does not read. PINNED_GAP: so it is with a
   holder that took the lock by the record, while a dead process' memory had the flock. PEERS_COUNT_ALL: peers do
   not know the tombstone; for them a holder has left when its exit handler has deleted the file (or given up the flock, or handed
   the record on). Python and flock(1) know nothing of one another. gap-python-fork: a forked child is not in the record when its
   parent was killed, and Python reads nothing else. */

/* What a configuration says: see configurations in run. */
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef EXECS
#define EXECS 0
#endif

/* The code as it is, unless a variant breaks it. */
#ifndef HAS_TOMBSTONES
#define HAS_TOMBSTONES true
#endif
#ifndef NO_ENDINGS
#define NO_ENDINGS false
#endif
#ifndef NO_FAMILY
#define NO_FAMILY false
#endif
#ifndef ACCEPTS_EMPTY
#define ACCEPTS_EMPTY true
#endif
#ifndef CREATED_FOR_EVER
#define CREATED_FOR_EVER false
#endif
#ifndef DELETES_UNLOCKED
#define DELETES_UNLOCKED false
#endif
#ifndef BELIEVES_ANY_FLOCK
#define BELIEVES_ANY_FLOCK false
#endif
#ifndef ANY_MARK
#define ANY_MARK false
#endif
#ifndef HANDS_ON
#define HANDS_ON true
#endif
#ifndef LEAVES_TO_WAITERS
#define LEAVES_TO_WAITERS true
#endif
#ifndef LEFT_WITH_FAMILY
#define LEFT_WITH_FAMILY false
#endif
#ifndef LEFT_FOR_EVER
#define LEFT_FOR_EVER false
#endif
#ifndef NO_LIVING_ANCESTOR
#define LIVING_ANCESTOR (MARK_LIVES && HAS_ANCESTOR(1))
#else
#define LIVING_ANCESTOR false
#endif
#ifndef NO_INODE_MEMORY
#define SAME_INODE (FILE == remembered[p])
#else
#define SAME_INODE true
#endif

/* What may happen besides. */
#ifndef TOMBSTONES_FAIL
#define TOMBSTONES_FAIL false
#endif
#ifndef GRACE_ENDS
#define GRACE_ENDS false
#endif
#ifndef HOLDER_EXITS
#define HOLDER_EXITS true	/* false: process 1 ends by _exit() */
#endif
#ifndef RESUME_GIVES_UP
#define RESUME_GIVES_UP false
#endif
#ifndef PEER_GAP
#define PEER_GAP false
#endif
#ifndef EXEC_GAP
#define EXEC_GAP false
#endif
#ifndef PINNED_GAP
#define PINNED_GAP false
#endif
#ifndef NO_TAKER_CHECK
#define NO_TAKER_CHECK false
#endif

mtype = { Unborn, Begin, Main, Die, Dying, Done,
	Open, Create, TakeFlock, CheckPath, Judge, Decide, Write, Stamp, LastLook, Keep, Endings, AwaitEndings, Tombs, AwaitTomb,
	GiveUp, GiveUpLook, GiveUpName, GiveUpFlock, Busy, JudgeBusy, BusyDead, Find, FoundMapper, Refused,
	PinnedOpen, PinnedJudge, PinnedWrite, PinnedStamp, PinnedCheck, PinnedTakeBack, PinnedKeep, Pinned,
	ShareHint, Replace, ReplaceLock, ReplaceWrite, ReplaceStamp, Announce, AnnounceHint, KeepTurn, Watch,
	Mark, MarkedFileIsGone, MarkIsRecorded, MarkIsNot,
	Leave, LeaveJudge, Raise, Release, TakeBack, Heir, HandOn, WatchFlock, HandOnMapped, Word, Family, AwaitFamily, Delete, Unlink, Rest,
	PythonCreate, PythonOpen, PythonLock, PythonJudge, PythonWrite, PythonInside, PythonUnlink,
	FlockOpen, FlockTake, FlockInside };

/* Ghosts: no step of the code looks at these. */
byte inside[SLOTS + 1];	/* the instance whose program it runs, named by the process that took the lock; 0: none */
bool entered;
byte kills, execs;
byte tries;		/* of the Prober: nobody is there to be waited for */

/* Two that may be inside at a time, p having just entered. Peers know no tombstone: for them a holder has left with what its exit
   handler gave up. And of one another Python and flock(1) know nothing. */
#ifndef PEERS_COUNT_ALL
#define EXCUSED(p, q) ((role[p] == Python && (given_up[q] == 2 || role[q] == Flock)) || \
	(role[p] == Flock && (given_up[q] >= 1 || role[q] == Python)))
#else
#define EXCUSED(p, q) false
#endif

#define AGAIN_STEP (role[p] == Waiter -> Announce : Open)
#define AFTER_REPLACE (leaving[p] -> Rest : Refused)

#include "kernel.pml"
#include "state.pml"

#define NEVER_BEGINS(q) (life[1] == GONE && (at[q] == Unborn || (at[q] == Begin && role[q] == Replayer)))
#define IS_OVER(q) (at[q] == Done || role[q] == Prober || role[q] == Bystander || NEVER_BEGINS(q))

inline begin()
{
	life[p] = LIVES;
	if
	:: role[p] == Waiter -> at[p] = Announce
	:: role[p] == Python -> at[p] = PythonCreate
	:: role[p] == Flock -> at[p] = FlockOpen
	:: role[p] == Replayer -> remembered[p] = remembered[1]; at[p] = Mark
	:: role[p] == Bystander -> at[p] = Rest
	:: else -> at[p] = Open
	fi
}

#ifdef REUSES_PIDS
#define REUSE_STEP(q) \
:: d_step { at[p] == Begin && MAY_BEGIN && p != q && life[q] == GONE && !(PID_LIVES(pid_of[q])) -> pid_of[p] = pid_of[q]; begin() }
#else
#define REUSE_STEP(q)
#endif

/* A Replayer gets its environment while the holder is in its program. A Bystander is a process that has nothing to do with
   any of this; it ends when all is over. The Prober starts when all else has ended: whatever was left behind, it gets in. */
#define MAY_BEGIN ((role[p] != Replayer || (inside[1] == 1 && remembered[1])) && (role[p] != Prober || EACH_OTHER_IS_OVER))
#define EACH_OTHER_IS_OVER (IS_OVER(1) && IS_OVER(2) && IS_OVER(3) ALSO4(IS_OVER(4)) ALSO5(IS_OVER(5)) ALSO6(IS_OVER(6)))

#define FORK_STEP(c) \
:: d_step { at[p] == Main && p == 1 && role[c] == Child && at[c] == Unborn && map[p] -> \
	fork(c); inside[c] = inside[p]; remembered[c] = remembered[p]; at[c] = Main }

proctype process(byte p)
{
	do
	:: d_step { at[p] == Begin && MAY_BEGIN ->
		assert(role[p] != Prober || entered || kills);
		pid_of[p] = p;
		begin() }
	REUSE_STEP(1)
	REUSE_STEP(2)
#include "steps-start.pml"
#ifdef WAITERS
#include "steps-wait.pml"
#endif
#ifdef MARKS
#include "steps-mark.pml"
#endif
#include "steps-leave.pml"
#ifdef PEERS
#include "steps-peers.pml"
#endif
	/* The program: exit(), fork(), exec. */
	:: d_step { at[p] == Main && (p != 1 || HOLDER_EXITS) -> at[p] = Leave }
	:: d_step { at[p] == Main && p == 1 && !HOLDER_EXITS -> at[p] = Die }
	FORK_STEP(2)
	FORK_STEP(3)
	:: d_step { at[p] == Main && execs < EXECS && role[p] != Child && role[p] != Prober ->
		execs++;
		give_up(map[p]);
		own[p] = true;
		at[p] = Open }
#ifdef MARKS
	:: d_step { at[p] == Main && role[p] == Child -> give_up(map[p]); inside[p] = 0; at[p] = Mark }
#endif
#include "steps-end.pml"
	:: at[p] == Done || NEVER_BEGINS(p) -> break
	od
}

#define SET_UP(q, r) role[q] = r; at[q] = (r == Child -> Unborn : Begin); run process(q)

init {
	atomic {
		SET_UP(1, ROLE1);
		SET_UP(2, ROLE2);
		SET_UP(3, ROLE3);
#if SLOTS >= 4
		SET_UP(4, ROLE4);
#endif
#if SLOTS >= 5
		SET_UP(5, ROLE5);
#endif
#if SLOTS >= 6
		SET_UP(6, ROLE6);
#endif
#ifdef STALE
		create_file();
		record_pid[path] = SLOTS + 1;
		record_stamp[path] = 0;
		hints[path] = STALE
#endif
	}
}
