// SPDX-License-Identifier: MIT
#include "process.h"

#include "procfile.h"
#include "text.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define STAMP_MODULUS 1000000000u
// The kernel's include/linux/sched.h; /proc has shown it in field 9 ever since.
#define PF_EXITING 0x4
#define LOOKS_PASSING 3
#define LOOKS_LOCKS 2

// A /proc of another PID namespace than ours counts other processes: its numbers say nothing about ours.
static bool proc_is_foreign;

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
		else if (field == 14)
			status->cpu_ticks = number;
		else if (field == 15)
			status->cpu_ticks += number;
		else if (field == 20)
			status->threads = (long)number;
	}
	status->start = number;
	return true;
}

static int read_stat_at(const char *path, struct process_stat *status)
{
	char buffer[1024];
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

	if (pid != 0 && proc_is_foreign) {
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

struct process_self process_self(void)
{
	struct process_self self = { .pid = getpid(), .start = PROCESS_START_UNKNOWN };
	struct process_stat status;

	if (process_read_stat(0, &status) == -1)
		return self;
	proc_is_foreign = status.pid != self.pid;
	if (!proc_is_foreign) {
		self.start = status.start;
		self.session = status.session;
	}
	return self;
}

uint32_t process_stamp(uint64_t start)
{
	return start == PROCESS_START_UNKNOWN ? PROCESS_NO_STAMP : (uint32_t)(start % STAMP_MODULUS);
}

bool process_alive(pid_t pid, uint32_t stamp)
{
	struct process_stat status;

	if (process_read_stat(pid, &status) == -1)
		return kill(pid, 0) == 0 || errno != ESRCH;
	// A leader that ended before its threads is a zombie, too, but the process lives.
	if (is_passing(&status) || (status.state == 'Z' && status.threads == 1))
		return false;
	return stamp == PROCESS_NO_STAMP || stamp == process_stamp(status.start);
}

struct thread_search {
	pid_t pid;
	bool found;
};

static void visit_thread(void *context, pid_t thread)
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
}

static bool has_working_thread(pid_t pid)
{
	struct thread_search search = { .pid = pid };
	char path[PROCFILE_PATH];

	procfile_list(procfile_path(path, pid, "/task"), visit_thread, &search);
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

bool process_is_orphan(void)
{
	struct process_stat self, parent;

	// A child has its parent's session, unless it began one of its own.
	return process_read_stat(0, &self) == 0 && self.session != self.pid &&
	       process_read_stat(self.parent, &parent) == 0 && parent.session != self.session;
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

static bool parse_hex(const char **at, const char *end, unsigned *number)
{
	static const char digits[] = "0123456789abcdef";
	const char *start = *at, *digit;

	for (*number = 0; *at < end && (digit = memchr(digits, **at, 16)) != NULL; ++*at)
		*number = *number * 16 + (unsigned)(digit - digits);
	return *at > start;
}

// "08:01", as maps and locks print a device.
static bool parse_device(const char **at, const char *end, dev_t *device)
{
	unsigned major, minor;

	if (!parse_hex(at, end, &major) || *at == end || *(*at)++ != ':' || !parse_hex(at, end, &minor))
		return false;
	// As stat(2) has it; makedev() is a function of libc's.
	*device = ((dev_t)(major & 0xfff) << 8) | ((dev_t)(major & ~0xfffu) << 32) |
		  (minor & 0xff) | ((dev_t)(minor & ~0xffu) << 12);
	return true;
}

static void skip_word(const char **at, const char *end)
{
	while (*at < end && **at != ' ')
		++*at;
	while (*at < end && **at == ' ')
		++*at;
}

static bool is_lock_file(const char *path, const char *end)
{
	static const char prefix[] = "/py_exclusivelock_";
	const char *slash = end;

	while (slash > path && *--slash != '/')
		;
	return (size_t)(end - slash) > sizeof(prefix) - 1 && memcmp(slash, prefix, sizeof(prefix) - 1) == 0;
}

// "55e0-55e1 ---s 00000000 08:01 1234      /run/lock/py_exclusivelock_x.lock"
bool process_line_maps(const char *line, size_t length, const struct mapped_file *file)
{
	const char *at = line, *end = line + length;
	uint64_t inode;
	dev_t device;
	size_t path;

	for (int i = 0; i < 3; i++)
		skip_word(&at, end);
	if (!parse_device(&at, end, &device))
		return false;
	skip_word(&at, end);
	if (!text_parse_number(&at, end, &inode) || inode == 0)
		return false;
	skip_word(&at, end);
	if (!file)
		return is_lock_file(at, end);
	path = (size_t)(end - at);
	return inode == file->inode && (device == file->device ||
	       (path == strlen(file->path) && memcmp(at, file->path, path) == 0));
}

struct line_search {
	const struct mapped_file *file;
	pid_t locker;
	bool waits;
	bool found;
};

static bool visit_maps_line(void *context, const char *line, size_t length)
{
	struct line_search *search = context;

	search->found = process_line_maps(line, length, search->file);
	return search->found;
}

bool process_maps(pid_t pid, const struct mapped_file *file)
{
	struct line_search search = { .file = file };
	char path[PROCFILE_PATH];

	procfile_lines(procfile_path(path, pid, "/maps"), visit_maps_line, &search);
	return search.found;
}

struct mapper_search {
	const struct mapped_file *file;
	pid_t self, oldest;
	uint64_t start;
};

static void visit_process(void *context, pid_t pid)
{
	struct mapper_search *search = context;
	struct process_stat status;

	if (pid == search->self || !process_maps(pid, search->file) || process_read_stat(pid, &status) == -1 ||
	    (search->oldest && status.start >= search->start))
		return;
	search->oldest = pid;
	search->start = status.start;
}

pid_t process_find_mapper(const struct mapped_file *file)
{
	struct mapper_search search = { .file = file, .self = getpid() };

	if (!proc_is_foreign)
		procfile_list("/proc", visit_process, &search);
	return search.oldest;
}

// "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF"; one that waits: "1: -> FLOCK ..."
bool process_parse_flock_line(const char *line, size_t length, struct flock_line *lock)
{
	const char *at = line, *end = line + length;
	uint64_t number;

	skip_word(&at, end);
	lock->waits = end - at > 2 && memcmp(at, "->", 2) == 0;
	if (lock->waits)
		skip_word(&at, end);
	if (end - at < 5 || memcmp(at, "FLOCK", 5) != 0)
		return false;
	for (int i = 0; i < 3; i++)
		skip_word(&at, end);
	// "-1": taken in another PID namespace, or by nobody who is still there.
	lock->pid = text_parse_number(&at, end, &number) ? (pid_t)number : 0;
	skip_word(&at, end);
	if (!parse_device(&at, end, &lock->device) || at == end || *at++ != ':' || !text_parse_number(&at, end, &number))
		return false;
	lock->inode = number;
	return true;
}

static bool visit_locks_line(void *context, const char *line, size_t length)
{
	struct line_search *search = context;
	struct flock_line lock;

	if (!process_parse_flock_line(line, length, &lock) || lock.inode != search->file->inode ||
	    lock.device != search->file->device || lock.waits != search->waits)
		return false;
	search->locker = lock.pid;
	search->found = true;
	return true;
}

pid_t process_find_locker(const struct mapped_file *file)
{
	struct line_search search = { .file = file };

	if (proc_is_foreign || procfile_lines("/proc/locks", visit_locks_line, &search) == -1 || !search.found ||
	    search.locker <= 0 || !process_alive(search.locker, PROCESS_NO_STAMP))
		return 0;
	return search.locker;
}

bool process_has_waiters(const struct mapped_file *file)
{
	struct line_search search = { .file = file, .waits = true };

	// The kernel goes on by counting from one read to the next: when another lock goes meanwhile, one is passed over.
	for (int look = 0; look < LOOKS_LOCKS && !search.found; look++)
		if (procfile_lines("/proc/locks", visit_locks_line, &search) == -1)
			return true;
	return search.found;
}
