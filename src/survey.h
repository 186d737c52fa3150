// SPDX-License-Identifier: MIT
// A look at a lock file that changes nothing: no lock is taken, not even for an instant, so no start can fail by it.
#ifndef EXLOCK_SURVEY_H
#define EXLOCK_SURVEY_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

enum survey_state {
	SURVEY_FREE,		// there is no such file
	SURVEY_STALE,		// there is, and it holds nothing: the next start takes it over
	SURVEY_MALFORMED,	// likewise, and its content is no PID
	SURVEY_STARTING,	// empty: somebody has created it just now
	SURVEY_HELD,		// somebody has the kernel's lock
	SURVEY_HELD_BY_PID,	// the file names a living process, nothing more: a Python peer, a static program
	SURVEY_ENDING,		// its last holder has given it back, and has not quite gone
	SURVEY_FOREIGN,		// no regular file with one link: a start would fail
	SURVEY_UNREADABLE,	// not to be judged; see error
};

struct survey {
	enum survey_state state;
	pid_t pid;		// who holds; where nobody does, whom the file names. 0: not known
	uid_t user;		// whose process that is; where held only
	bool user_known;
	struct timespec since;	// when the file was last written
	int error;		// an errno, where unreadable
};

// What was seen of one file.
struct survey_facts {
	bool regular;		// and with one link
	bool empty;
	pid_t recorded;		// 0: the content names nobody
	bool recorded_alive;
	bool locked;		// somebody has the flock, or a mapping in its place
	pid_t locker;		// who; 0: not known
	bool ending;		// a tombstone stands for it
	pid_t ender;		// whose; 0: not known
};

// What the facts mean. Pure.
enum survey_state survey_judge(const struct survey_facts *facts);

// Looks at the lock file at PATH. Without the right to see a process, what /proc hides is not known.
struct survey survey_look(const char *path);

bool survey_is_held(enum survey_state state);

// One word, as `exlockctl list` shows it.
const char *survey_word(enum survey_state state);

#endif
