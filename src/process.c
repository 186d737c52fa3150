// SPDX-License-Identifier: MIT
#include "process.h"

#include "procfile.h"
#include "rawcall.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_PROCESS 1
#define STAMP_MODULUS 1000000000u
// The kernel's include/linux/sched.h; /proc has shown it in field 9 ever since.
#define PF_EXITING 0x4
#define LOOKS_PASSING 3
// Room for what is read of /proc/PID/stat: 22 fields, one of them a name in parentheses and the others numbers.
#define STAT_MAX 352
// The kernel's include/uapi/linux/nsfs.h; the first PID namespace has had this number ever since namespaces have numbers.
#define FIRST_NAMESPACE UINT64_C(0xEFFFFFFC)
// Prime to the stamps' modulus, so that no two namespaces have one offset, and far from small multiples of it, so that the
// offsets of neighbours are not just some minutes apart.
#define NAMESPACE_STEP UINT64_C(618033989)
#define NAMESPACE_TEXT 64
// The first time namespace, likewise.
#define FIRST_TIME "time:[4026531834]"
#define TICKS_PER_SECOND 100
#define NS_PER_TICK UINT64_C(10000000)
#define NS_PER_SECOND UINT64_C(1000000000)
// A file's times come from a clock that is read once a tick of the kernel's, and a start time is cut.
#define CLOCK_SLACK_NS (2 * NS_PER_TICK)

// A /proc of another PID namespace than ours counts other processes: its numbers say nothing about ours.
static _Atomic bool proc_is_foreign;

bool process_proc_is_foreign(void)
{
	return atomic_load_explicit(&proc_is_foreign, memory_order_relaxed);
}

bool process_parse_namespace(const char *text, size_t length, uint64_t *number)
{
	static const char before[] = "pid:[";
	const char *at = text + sizeof(before) - 1, *end = text + length;

	return length >= sizeof(before) && memcmp(text, before, sizeof(before) - 1) == 0 && text_parse_number(&at, end, number) &&
	       end - at == 1 && *at == ']';
}

static void skip(const char **at, const char *end, char what)
{
	while (*at < end && **at == what)
		++*at;
}

// "monotonic           0         0\nboottime      100000         0\n": seconds, which may be negative, and nanoseconds.
bool process_parse_offsets(const char *text, size_t length, int64_t *ticks)
{
	static const char name[] = "boottime";
	const char *at = text, *end = text + length;
	uint64_t seconds, nanoseconds;
	bool negative;

	while (end - at >= (ptrdiff_t)sizeof(name) && memcmp(at, name, sizeof(name) - 1) != 0)
		at++;
	if (end - at < (ptrdiff_t)sizeof(name))
		return false;
	at += sizeof(name) - 1;
	skip(&at, end, ' ');
	negative = at < end && *at == '-';
	at += negative;
	if (!text_parse_number(&at, end, &seconds) || seconds > INT32_MAX)
		return false;
	skip(&at, end, ' ');
	if (!text_parse_number(&at, end, &nanoseconds) || nanoseconds >= NS_PER_SECOND || nanoseconds % NS_PER_TICK != 0)
		return false;
	*ticks = (negative ? -(int64_t)seconds : (int64_t)seconds) * TICKS_PER_SECOND + (int64_t)(nanoseconds / NS_PER_TICK);
	return true;
}

// What /proc adds to the start times that this process reads. A kernel without time namespaces has no such link.
static bool find_time_offset(int64_t *ticks)
{
	char text[4 * NAMESPACE_TEXT];
	ssize_t length = readlinkat(AT_FDCWD, "/proc/self/ns/time", text, sizeof(text));

	*ticks = 0;
	if (length == -1)
		return errno == ENOENT;
	if (length == sizeof(FIRST_TIME) - 1 && memcmp(text, FIRST_TIME, (size_t)length) == 0)
		return true;
	length = procfile_read("/proc/self/timens_offsets", text, sizeof(text));
	return length != -1 && process_parse_offsets(text, (size_t)length, ticks);
}

static bool find_space(uint64_t *number)
{
	// stat(2) would have the kernel make an inode for it.
	char text[NAMESPACE_TEXT];
	ssize_t length = readlinkat(AT_FDCWD, "/proc/self/ns/pid", text, sizeof(text));

	return length != -1 && process_parse_namespace(text, (size_t)length, number);
}

// What is added to the start times that this process reads. Two containers that are started together have processes of the same number
// that began in the same hundredth of a second. The PID namespace's number, in *SPACE, tells them apart.
static bool find_offset(uint64_t *offset, uint64_t *space)
{
	int64_t time;

	if (!find_space(space) || !find_time_offset(&time))
		return false;
	*offset = (*space > FIRST_NAMESPACE ? (*space - FIRST_NAMESPACE) * NAMESPACE_STEP : 0) - (uint64_t)time;
	return true;
}

bool process_has_moved(pid_t pid, const struct process_self *self)
{
	uint64_t space;

	// The first process of a namespace may be the child of another's first.
	if (self->space == 0 || (self->pid == pid && pid != FIRST_PROCESS))
		return false;
	return !find_space(&space) || space != self->space;
}

bool process_parse_stat(const char *text, size_t length, struct process_stat *status)
{
	const char *end = text + length;
	const char *at = text;
	uint64_t number = 0;

	if (!text_parse_number(&at, end, &number))
		return false;
	status->pid = (pid_t)number;
	// The name in parentheses may hold anything, more parentheses and newlines, too.
	for (at = end; at > text && at[-1] != ')'; at--)
		;
	if (at == text || end - at < 4 || at[0] != ' ')
		return false;
	status->state = at[1];
	at += 2;
	status->cpu_ticks = 0;
	for (int field = 4; field <= 22; field++) {
		if (at >= end || *at++ != ' ')
			return false;
		if (at < end && *at == '-')
			at++;
		if (!text_parse_number(&at, end, &number))
			return false;
		if (field == 4)
			status->parent = (pid_t)number;
		else if (field == 6)
			status->session = (pid_t)number;
		else if (field == 9)
			status->flags = number;
		else if (field == 14 || field == 15)
			status->cpu_ticks += number;
		else if (field == 20)
			status->threads = (long)number;
	}
	status->start = number;
	return true;
}

static int read_stat_at(const char *path, struct process_stat *status)
{
	char buffer[STAT_MAX];
	ssize_t length = procfile_read(path, buffer, sizeof(buffer));

	if (length == -1)
		return -1;
	if (!process_parse_stat(buffer, (size_t)length, status)) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

// A zombie that nobody has waited for counts one thread. One without is on its way out, or a leader in whose place another
// thread has called exec: then there is a new one at the next look.
static bool is_passing(const struct process_stat *status)
{
	return status->state == 'X' || status->threads == 0;
}

int process_read_stat(pid_t pid, struct process_stat *status)
{
	char path[PROCFILE_PATH];
	int result;

	if (pid != 0 && process_proc_is_foreign()) {
		errno = ENOENT;
		return -1;
	}
	for (int look = 0; look < LOOKS_PASSING; look++) {
		result = read_stat_at(procfile_path(path, pid, "/stat"), status);
		if (result == -1 || !is_passing(status))
			break;
	}
	return result;
}

uint64_t process_start(const struct process_stat *status)
{
	uint64_t offset, space;

	return find_offset(&offset, &space) ? status->start + offset : PROCESS_START_UNKNOWN;
}

bool process_sees_all(void)
{
	uint64_t space;

	return !process_proc_is_foreign() && find_space(&space) && space == FIRST_NAMESPACE;
}

struct process_self process_self(void)
{
	struct process_self self = { .pid = getpid(), .start = PROCESS_START_UNKNOWN };
	struct process_stat status;
	uint64_t offset;

	if (process_read_stat(0, &status) == -1)
		return self;
	atomic_store_explicit(&proc_is_foreign, status.pid != self.pid, memory_order_relaxed);
	if (status.pid != self.pid)
		return self;
	self.session = status.session;
	if (find_offset(&offset, &self.space))
		self.start = status.start + offset;
	return self;
}

uint32_t process_stamp(uint64_t start)
{
	return start == PROCESS_START_UNKNOWN ? PROCESS_NO_STAMP : (uint32_t)(start % STAMP_MODULUS);
}

// A leader that ended before its threads is a zombie, too, but the process lives.
bool process_has_ended(const struct process_stat *status)
{
	return is_passing(status) || (status->state == 'Z' && status->threads == 1);
}

// Mostly this is the first PID namespace, or nobody has to know: to find out costs as much as to read the start time.
bool process_began_at(const struct process_stat *status, uint32_t stamp)
{
	uint64_t start;

	if (stamp == process_stamp(status->start))
		return true;
	start = process_start(status);
	return start == PROCESS_START_UNKNOWN || stamp == process_stamp(start);
}

bool process_alive(pid_t pid, uint32_t stamp)
{
	struct process_stat status;

	if (process_read_stat(pid, &status) == -1)
		return kill(pid, 0) == 0 || errno != ESRCH;
	return !process_has_ended(&status) && (stamp == PROCESS_NO_STAMP || process_began_at(&status, stamp));
}

bool process_is_instance(pid_t pid, uint64_t start)
{
	struct process_stat status;

	return process_read_stat(pid, &status) == 0 && !process_has_ended(&status) &&
	       (status.start == start || process_start(&status) == start);
}

bool process_began_before(pid_t pid, const struct timespec *time)
{
	struct timespec now, since_boot;
	struct process_stat status;
	uint64_t written = (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec, clock, running;

	if (process_read_stat(pid, &status) == -1 || clock_gettime(CLOCK_REALTIME, &now) == -1 ||
	    clock_gettime(CLOCK_BOOTTIME, &since_boot) == -1)
		return false;
	clock = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
	running = (uint64_t)since_boot.tv_sec * NS_PER_SECOND + (uint64_t)since_boot.tv_nsec - status.start * NS_PER_TICK;
	return written <= clock && clock - running <= written + CLOCK_SLACK_NS;
}

struct thread_search {
	pid_t pid;
	bool found;
};

static bool visit_thread(void *context, pid_t thread)
{
	struct thread_search *search = context;
	char path[PROCFILE_PATH];
	struct text text = text_in(path, sizeof(path));
	struct process_stat status;

	text_add(&text, "/proc/");
	text_number(&text, (uint64_t)search->pid);
	text_add(&text, "/task/");
	text_number(&text, (uint64_t)thread);
	text_add(&text, "/stat");
	if (read_stat_at(path, &status) == 0 && !(status.flags & PF_EXITING))
		search->found = true;
	return search->found;
}

static bool has_working_thread(pid_t pid)
{
	struct thread_search search = { .pid = pid };

	(void)procfile_search_threads(pid, visit_thread, &search);
	return search.found;
}

bool process_is_ending(pid_t pid)
{
	struct process_stat status;

	if (process_read_stat(pid, &status) == -1)
		return errno == ENOENT || errno == ESRCH;
	// A leader that ended before its threads bears the flag, too, whether they go on or not.
	return (status.flags & PF_EXITING) != 0 && (status.state != 'Z' || status.threads == 1 || !has_working_thread(pid));
}

bool process_is_younger(const struct process_stat *status, uint64_t ticks)
{
	struct timespec now;

	return clock_gettime(CLOCK_BOOTTIME, &now) == 0 &&
	       (uint64_t)now.tv_sec * TICKS_PER_SECOND + (uint64_t)now.tv_nsec / NS_PER_TICK < status->start + ticks;
}

bool process_has_children(void)
{
	siginfo_t child;

	return waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

bool process_has_forked(void)
{
	struct sigaction action;
	struct rusage ended;

	if (process_has_children())
		return true;
	// One that was waited for has left its page faults, and perhaps a child of its own.
	if (getrusage(RUSAGE_CHILDREN, &ended) == -1 || ended.ru_minflt != 0)
		return true;
	// Here the kernel does not wait, nor count.
	return sigaction(SIGCHLD, NULL, &action) == -1 || action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT);
}

bool process_shares_memory(void)
{
	return rawcall(SYS_kcmp, getpid(), getppid(), KCMP_VM, 0, 0, 0) == 0;
}

bool process_is_orphan(void)
{
	struct process_stat self, parent;

	// A child has its parent's session, unless it began one of its own.
	return process_read_stat(0, &self) == 0 && self.session != self.pid &&
	       process_read_stat(self.parent, &parent) == 0 && parent.session != self.session;
}

// Whether the process of STATUS has lost the parent that forked it. One that cannot be seen here may be anybody; a process that leads no
// session is of its parent's.
static bool has_lost_parent(const struct process_stat *status, struct process_stat *parent)
{
	bool leads = status->session == status->pid;

	if (status->parent == FIRST_PROCESS)
		return true;
	if (process_read_stat(status->parent, parent) == -1)
		return !leads && status->parent != 0;
	return !leads && parent->session != status->session;
}

// Whether this process, or an ancestor below PID (0: any), began at START, as this process reads it, or later, and has lost its parent.
static bool lost_parent(pid_t pid, uint64_t start)
{
	struct process_stat status, parent = { 0 };

	if (process_read_stat(0, &status) == -1)
		return false;
	while (status.start >= start && status.pid != pid) {
		if (has_lost_parent(&status, &parent))
			return true;
		if (parent.pid != status.parent)
			return false;
		status = parent;
	}
	return false;
}

bool process_may_descend(pid_t pid)
{
	struct process_stat from;

	(void)process_self();
	if (process_proc_is_foreign())
		return true;
	return process_read_stat(pid, &from) == 0 && lost_parent(pid, from.start);
}

// How START, as a record or a mark has it, shows in /proc.
static uint64_t shown_start(uint64_t start)
{
	uint64_t offset, space;

	return find_offset(&offset, &space) ? start - offset : start;
}

bool process_began_since(pid_t pid, uint64_t start)
{
	struct process_stat status;

	return process_read_stat(pid, &status) == 0 && status.start >= shown_start(start);
}

bool process_lost_parent_since(uint64_t start)
{
	return lost_parent(0, shown_start(start));
}

pid_t process_find_ancestor(bool (*visit)(pid_t pid, const void *context), const void *context)
{
	struct process_stat status;

	for (pid_t pid = getppid(); pid > 0; pid = status.parent) {
		if (visit(pid, context))
			return pid;
		if (process_read_stat(pid, &status) == -1)
			break;
	}
	return 0;
}
