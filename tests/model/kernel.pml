/* SPDX-License-Identifier: MIT */
/* The kernel: processes, one directory entry, inodes, open file descriptions, mappings, tombstones, and how a process ends. */

#define INODES 6
/* Each process has three numbers for the open file descriptions that it opens: one for its descriptor, one for its mapping, and one
   that only a child maps. Numbers in the order of the opens would make many states of what is one. */
#define OPENS (3 * SLOTS)
#define OPENER(file) ((file + 2) / 3)	/* the process that took its flock, for /proc/locks */
#define NOBODY 0
#define BAD_STAMP 15	/* content written, time stamp not yet */

mtype at[SLOTS + 1];	/* the next step of each process */

/* What a process has begun as. */
mtype = { Program, Waiter, Replayer, Bystander, Prober, Child, Python, Flock };
mtype role[SLOTS + 1];

/* A process' life. Its start time is its slot's number, which is never used twice; its PID may be. */
#define UNBORN 0
#define LIVES 1
#define ENDING 2	/* PF_EXITING: what it had is being taken away, step by step */
#define GONE 3		/* a zombie, or reaped */
byte life[SLOTS + 1];
byte pid_of[SLOTS + 1];
byte parent[SLOTS + 1];
byte fd[SLOTS + 1];	/* the descriptor it has opened for the lock, an open file description */
byte map[SLOTS + 1];	/* the open file description it maps */
bool tomb[SLOTS + 1];	/* its tombstone stands */

/* The lock file. */
byte path;		/* the inode at the path; 0: there is no file */
byte record_pid[INODES + 1];	/* 0: empty */
byte record_stamp[INODES + 1];	/* a start time; 0: the record has no stamp */
byte record_locked[INODES + 1];	/* the process that has the short lock: lockf, OFD */
byte flocked[INODES + 1];	/* the open file description that has the flock */
byte hints[INODES + 1];	/* of the file's mode, which is changed as a whole */
#define WAITERS_HINT 1
#define MAPPED_HINT 2
#define LEFT_HINT 4

/* Open file descriptions. */
byte inode_of[OPENS + 1];
byte owners[OPENS + 1];	/* descriptors and mappings, of all processes */

hidden byte i, k;	/* scratch inside one step */

#define FILE inode_of[fd[p]]
#if SLOTS >= 4
#define AND4(x) || x
#define ALSO4(x) && x
#define BITS4(x) | x
#else
#define AND4(x)
#define ALSO4(x)
#define BITS4(x)
#endif
#if SLOTS >= 5
#define AND5(x) || x
#define ALSO5(x) && x
#define BITS5(x) | x
#else
#define AND5(x)
#define ALSO5(x)
#define BITS5(x)
#endif
#if SLOTS >= 6
#define AND6(x) || x
#define ALSO6(x) && x
#define BITS6(x) | x
#else
#define AND6(x)
#define ALSO6(x)
#define BITS6(x)
#endif
#define EACH_PROCESS(f) (f(1) || f(2) || f(3) AND4(f(4)) AND5(f(5)) AND6(f(6)))

/* What kill(pid, 0) says of a PID, and /proc of a PID and a start time. */
#define HAS_PID(q, n) (pid_of[q] == (n) && (life[q] == LIVES || life[q] == ENDING))
#define PID_LIVES(n) (HAS_PID(1, n) || HAS_PID(2, n) || HAS_PID(3, n) AND4(HAS_PID(4, n)) AND5(HAS_PID(5, n)) AND6(HAS_PID(6, n)))
#define IS(q, n, s) (HAS_PID(q, n) && ((s) == 0 || (s) == (q)))
#define ALIVE(n, s) (IS(1, n, s) || IS(2, n, s) || IS(3, n, s) AND4(IS(4, n, s)) AND5(IS(5, n, s)) AND6(IS(6, n, s)))

/* An inode number is free for the next file as soon as nothing refers to it, as on ext4: whoever only remembers the number
   may meet it again. */
inline collect(inode)
{
	k = 1;
	do
	:: k <= OPENS && !(owners[k] && inode_of[k] == inode) -> k++
	:: else -> break
	od;
	if
	:: k > OPENS && path != inode ->
		record_pid[inode] = 0;
		record_stamp[inode] = 0;
		hints[inode] = 0
	:: else
	fi
}

inline create_file()
{
	assert(path == 0);
	i = 1;
	do
	:: k = 1;
	   do
	   :: k <= OPENS && !(owners[k] && inode_of[k] == i) -> k++
	   :: else -> break
	   od;
	   if
	   :: k > OPENS -> break
	   :: else -> i++
	   fi
	od;
	assert(i <= INODES);
	path = i
}

inline open_file()
{
	k = 3 * p - 2;
	do
	:: owners[k] -> k++
	:: else -> break
	od;
	assert(OPENER(k) == p && path != 0);
	owners[k] = 1;
	inode_of[k] = path;
	fd[p] = k
}

/* One owner of an open file description less. With the last one its locks go. */
inline give_up(file)
{
	if
	:: file == 0
	:: else ->
		i = inode_of[file];
		owners[file]--;
		if
		:: owners[file] == 0 ->
			if
			:: flocked[i] == file -> flocked[i] = 0
			:: else
			fi;
			inode_of[file] = 0;
			collect(i)
		:: else
		fi;
		file = 0
	fi
}

inline close_file()
{
	if
	:: fd[p] != 0 && record_locked[FILE] == p -> record_locked[FILE] = NOBODY
	:: else
	fi;
	give_up(fd[p])
}

inline unlink_path()
{
	i = path;
	path = 0;
	collect(i)
}

inline fork(c)
{
	life[c] = LIVES;
	pid_of[c] = c;
	parent[c] = p;
	map[c] = map[p];
	owners[map[p]]++
}

#ifndef ANY_ORDER
/* The kernel closes descriptors newest first: ours is newer than the program's own; then it drops the mappings. */
#define FILES_TURN (fd[p] == 0)
#define MAPPING_TURN (inside[p] == 0 && fd[p] == 0)
#else
/* A monitor that reads the maps of a process that ends, other threads, a descriptor in place of a mapping: any order. */
#define FILES_TURN true
#define MAPPING_TURN true
#endif
#ifndef TOMBSTONE_FIRST
#define TOMBSTONE_TURN (fd[p] == 0 && inside[p] == 0 && map[p] == 0)
#else
#define TOMBSTONE_TURN true
#endif
#define HAS_NOTHING (fd[p] == 0 && inside[p] == 0 && map[p] == 0 && !tomb[p])

/* The end of a process. Until its own files are closed it is inside: another one would see its work half done. */

/* Before each attempt: what the last one saw is outdated, and makes states differ. */
inline forget_seen()
{
	seen_pid[p] = 0;
	seen_stamp[p] = 0;
	other[p] = 0;
	set[p] = 0;
	seen_hints[p] = 0;
	created[p] = false
}

inline forget()
{
	forget_seen();
	awaited[p] = false;
	again[p] = false
}

/* No step reads these again. States that differ in nothing else become one. */
inline be_gone()
{
	life[p] = GONE;
	at[p] = Done;
	remembered[p] = 0;
	leaving[p] = false;
	own[p] = false;
	given_up[p] = 0
}
