// SPDX-License-Identifier: MIT
// Between faulty, the programs that it starts, and its own parts: tracing one process and making a chosen system call fail,
// the errors that each can have, and the situations in which that is tried.
#ifndef FAULTY_H
#define FAULTY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	// getpgid(MARK) says to the tracer that the program's own code begins.
	MARK = 0x45584c,
	REFUSED = 77,
	RAN = 7,
	BROKEN = 99,
	CALLS_MAX = 20000,
	PATHS_MAX = 4096,
};

// What the started programs say, in a file that all map. Who is in main has a lock on the file "inside", by its open file.
struct board {
	volatile int entered;		// how many have reached main, by what they are
	volatile int rival_entered;
	volatile int overlaps;		// one found another one inside
	volatile int flagged;
};

enum fault_kind {
	FAULT_NONE,
	FAULT_ERROR,		// fails with VALUE
	FAULT_SHORT,		// transfers VALUE bytes
	FAULT_KILL,		// SIGKILL instead of it
	FAULT_KILL_AFTER,
	FAULT_KILL_RIVAL,	// SIGKILL instead of it, with another one waiting
	FAULT_STALL,		// another one starts before it
};

// The OCCURRENCE-th call (from 1) of NUMBER that the code under test makes; LASTING: and all of that number after it.
struct fault {
	enum fault_kind kind;
	long number;
	int occurrence;
	bool lasting;
	int value;
};

enum trace_event {
	TRACE_MAIN,		// it has reached main
	TRACE_WAITING,		// it is about to sleep
	TRACE_STALL,		// it is at the fault's place, which is a stall or a kill beside a rival
	TRACE_LEAVING,		// it has run all its exit handlers
};

struct trace {
	struct fault fault;
	int process;		// which is looked at: 0: the first, 1: the first child that it forks
	int images;		// how many times it calls exec before
	void (*on)(struct trace *trace, enum trace_event event);
	void *context;

	pid_t pid;		// of the process that is looked at; 0: there was none
	pid_t first;
	int status;		// as from waitpid(2)
	bool met;		// the fault's place was met
	bool in_main;
	bool met_after_main;
	int count;		// of the code's own calls, in order
	long calls[CALLS_MAX];

	struct trace_image *image;
};

// Follows the process that START has begun (it has called trace_me) to its end. False: it had to be killed after a long time.
bool trace_follow(struct trace *trace, pid_t first);
void trace_me(void);
// Whether tracing works here.
bool trace_works(void);

// The errors that system call NUMBER can return, ended by 0.
const int *errors_of(long number);
// Whether NUMBER moves as many bytes as its third argument says, or fewer.
bool errors_moves_bytes(long number);
const char *errors_name(int error);
const char *errors_call_name(long number, char buffer[24]);

// One situation: what is there before, what is started, and what has to come of it.
struct situation {
	const char *name;
	const char *action;		// of the program under test
	enum { START_PRELOAD, START_HOP, START_HOP_BARE } start;
	enum { FILE_FRESH, FILE_STALE, FILE_FOREIGN } file;
	enum { HOLDER_NONE, HOLDER_SHIM, HOLDER_RECORD, HOLDER_DAEMON, HOLDER_PEER, HOLDER_DYING } holder;
	const char *environment[4][2];
	int process, images;
	bool descendant;		// it has to run, whatever single call fails
	bool gets_turn;			// the holder ends as soon as it waits
	bool derived;			// no name is given; by the arguments, too
	bool logs;			// to a file
	bool waiter;			// somebody waits when it leaves
	bool no_input;			// its lowest free descriptor is 0
	bool slow;			// every run takes long: fewer of them
};

extern const struct situation situations[];

// What is started, and where.
struct place {
	const char *folder, *shim, *hop, *subject;
};

// One process that was started, with a pipe for its input, of which INPUT is our end.
struct started {
	pid_t pid;	// 0: none
	int input;
	int status;
};

// One run: the situation, the fault, and the processes beside the one under test.
struct run {
	const struct situation *situation;
	const struct place *place;
	struct trace *trace;
	struct board *board;
	int inside, out, err, rival_err;	// files
	struct started subject, holder, rival;
	int dying_output;			// where a holder that is to die cannot write; -1: none
	const char *wrong;			// NULL: nothing yet
};

enum role { ROLE_SUBJECT, ROLE_HOLDER, ROLE_RIVAL, ROLE_WAITING_RIVAL };

// Puts the files of RUN->place there, which is an empty folder.
void start_prepare(struct run *run);
// Makes the lock directory what the situation says, with nobody in it.
void start_clear(struct run *run);
// Starts the program under test (stopped, to be traced), a holder, or somebody else who wants the lock.
void start_as(struct run *run, enum role role, struct started *started);
// Closes its input, and waits for its end. Returns its exit status, or -1.
int start_await(struct started *started);
// Waits until it has ended, sleeps, or *ENTERED is more than 0.
void start_settle(struct started *started, const volatile int *entered);
// Whether there is a lock file.
bool start_has_file(const struct run *run);
// Writes TEXT over what is in the lock file, with a modification time of some nanoseconds.
void start_write_record(struct run *run, const char *text);

// Runs it once, with the fault in RUN->trace, and judges it. Returns NULL if all is well, else what was wrong; WORDS is what the
// program under test has said.
const char *run_once(struct run *run, char words[4096]);

// waitpid(2) for one process, which is killed when all of it has taken too long. Returns whether that was not so.
bool trace_reap(pid_t pid, int *status);
// From now on a run may take half a minute; or, ON false, as long as it likes.
void trace_hurry(bool on);

#endif
