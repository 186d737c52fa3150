// SPDX-License-Identifier: MIT
#include "report.h"

#include "pause.h"
#include "procfile.h"
#include "scratch.h"
#include "text.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// How long one piece of a message waits for the reader of a full pipe or terminal.
#define PATIENCE_NS UINT64_C(500000000)

// A message on its way: whole in one write where it fits a pipe's atomic unit. Where there is no memory for that it goes in pieces.
struct message {
	char few[64];
	char *bytes;	// scratch memory
	size_t size, length;
	int fd;
	bool lost;	// the reader is gone or too slow: the rest is dropped
};

// SIGPIPE and SIGXFSZ, which a write may bring, must not reach the program.
struct held_signals {
	sigset_t writing, before, pending;
};

static void hold_signals(struct held_signals *held)
{
	sigemptyset(&held->writing);
	sigaddset(&held->writing, SIGPIPE);
	sigaddset(&held->writing, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &held->writing, &held->before);
	sigpending(&held->pending);
}

static void release_signals(const struct held_signals *held)
{
	struct timespec now = { 0 };
	sigset_t ours = held->writing;

	// What the program had blocked already may have been pending for its own reasons.
	if (sigismember(&held->pending, SIGPIPE))
		sigdelset(&ours, SIGPIPE);
	if (sigismember(&held->pending, SIGXFSZ))
		sigdelset(&ours, SIGXFSZ);
	while (sigtimedwait(&ours, NULL, &now) > 0)
		;
	sigprocmask(SIG_SETMASK, &held->before, NULL);
}

// The next best thing where there is no timer.
static bool is_ready(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	struct timespec now = { 0 };

	return ppoll(&ready, 1, &now, NULL) == 1;
}

static void flush(struct message *message)
{
	struct held_signals held;
	struct watch_alarm alarm;

	if (!message->lost) {
		hold_signals(&held);
		// No poll(2) tells whether all of it goes through: a terminal is ready when it takes one byte.
		message->lost = watch_arm(&alarm, pause_clock() + PATIENCE_NS) == -1 && !is_ready(message->fd);
		if (!message->lost)
			message->lost = write(message->fd, message->bytes ? message->bytes : message->few, message->length) != (ssize_t)message->length;
		watch_disarm(&alarm);
		release_signals(&held);
	}
	message->length = 0;
}

static void add_bytes(void *context, const char *bytes, size_t length)
{
	struct message *message = context;

	char *place = message->bytes ? message->bytes : message->few;

	for (; length > 0; bytes++, length--) {
		if (message->length == message->size)
			flush(message);
		place[message->length++] = *bytes;
	}
}

static void add(struct message *message, const char *string)
{
	add_bytes(message, string, strlen(string));
}

static void add_number(struct message *message, uint64_t number)
{
	char digits[TEXT_NUMBER_MAX];
	struct text text = text_in(digits, sizeof(digits));

	text_number(&text, number);
	add(message, digits);
}

// As vis(3) has it with VIS_OCTAL | VIS_NL | VIS_TAB in the C locale; its own code needs malloc and the locale.
static void add_visible(void *context, const char *bytes, size_t length)
{
	for (; length > 0; bytes++, length--) {
		unsigned char byte = (unsigned char)*bytes;
		if (byte >= ' ' && byte < 127 && byte != '\\') {
			add_bytes(context, bytes, 1);
		} else {
			const char octal[] = { '\\', (char)('0' + (byte >> 6)), (char)('0' + (byte >> 3 & 7)),
					       (char)('0' + (byte & 7)) };

			add_bytes(context, octal, sizeof(octal));
		}
	}
}

static struct message message_to(int fd)
{
	struct message message = { .bytes = scratch_get(), .fd = fd };

	message.size = message.bytes ? PIPE_BUF : sizeof(message.few);
	return message;
}

static void finish(struct message *message)
{
	add(message, "\n");
	flush(message);
	scratch_free(message->bytes);
}

static void add_visible_string(struct message *message, const char *string)
{
	add_visible(message, string, strlen(string));
}

#define RUNNING "is already running"

// "Another 'NAME' process WORDS (pid PID on HOST)END". HOST may be NULL.
static void refused(const struct lockname *name, const char *words, pid_t pid, const char *host, const char *end)
{
	struct message message = message_to(STDERR_FILENO);

	add(&message, "Another '");
	lockname_walk(name, add_visible, &message);
	add(&message, "' process ");
	add(&message, words);
	if (pid > 0) {
		add(&message, " (pid ");
		add_number(&message, (uint64_t)pid);
		if (host) {
			add(&message, " on ");
			add_visible_string(&message, host);
		}
		add(&message, ")");
	}
	add(&message, end);
	finish(&message);
}

// Whether PID has the machine's lock for a start that waits for its turn in a cluster: it has not become the command yet.
static bool is_waiting(pid_t pid)
{
	static const char keeper[] = "exlock-keeper\n";
	char path[PROCFILE_PATH], name[sizeof(keeper)];
	ssize_t length = pid > 0 ? procfile_read(procfile_path(path, pid, "/comm"), name, sizeof(name)) : -1;

	return length == (ssize_t)strlen(keeper) && memcmp(name, keeper, (size_t)length) == 0;
}

void report_refused(const struct lockname *name, pid_t pid)
{
	refused(name, is_waiting(pid) ? "is waiting for its turn in the cluster" : RUNNING, pid, NULL, ".");
}

void report_refused_by_host(const struct lockname *name, pid_t pid, const char *host)
{
	refused(name, RUNNING, pid, host[0] ? host : NULL, ".");
}

void report_has_run(const struct lockname *name, pid_t pid, const char *host)
{
	refused(name, "has already run", pid, host[0] ? host : NULL, ", and its name is still held.");
}

void report_error(const char *what, int error, const char *why, const char *advice)
{
	struct message message = message_to(STDERR_FILENO);

	add(&message, "exlock: ");
	add_visible_string(&message, what);
	add(&message, ": ");
	add(&message, why ? why : report_errno(error));
	if (advice) {
		add(&message, " (");
		add(&message, advice);
		add(&message, ")");
	}
	finish(&message);
}

void report_temporary(const char *path)
{
	struct message message = message_to(STDERR_FILENO);

	add(&message, "exlock: there is no directory /var/lock. The lock file is ");
	add_visible_string(&message, path);
	add(&message, " (with another TMPDIR it is another one; EXCLUSIVELOCK_DIR settles it)");
	finish(&message);
}

void report_launcher(const char *const *words)
{
	struct message message = message_to(STDERR_FILENO);

	add(&message, "exlock-launch: ");
	for (; *words; words++)
		add_visible_string(&message, *words);
	finish(&message);
}

void report_config_error(const struct config_error *error)
{
	struct message message = message_to(STDERR_FILENO);

	add(&message, "exlock: ");
	add(&message, error->variable);
	add(&message, "='");
	add_visible_string(&message, error->value);
	add(&message, "': ");
	add(&message, error->why);
	finish(&message);
}

static void add_two_digits(struct message *message, const char *before, unsigned number)
{
	const char digits[] = { (char)('0' + number / 10), (char)('0' + number % 10) };

	add(message, before);
	add_bytes(message, digits, sizeof(digits));
}

// "2026-11-23T05:36:08Z". Civil date from a day count: the usual arithmetic over eras of 400 years that begin on 1 March.
static void add_time(struct message *message)
{
	struct timespec now = { 0 };
	uint64_t days, seconds;
	unsigned day_of_era, year_of_era, day_of_year, month;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	days = (uint64_t)now.tv_sec / 86400 + 719468;
	seconds = (uint64_t)now.tv_sec % 86400;
	day_of_era = (unsigned)(days % 146097);
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	add_number(message, days / 146097 * 400 + year_of_era + (month >= 10));
	add_two_digits(message, "-", month < 10 ? month + 3 : month - 9);
	add_two_digits(message, "-", day_of_year - (153 * month + 2) / 5 + 1);
	add_two_digits(message, "T", (unsigned)(seconds / 3600));
	add_two_digits(message, ":", (unsigned)(seconds / 60 % 60));
	add_two_digits(message, ":", (unsigned)(seconds % 60));
	add(message, "Z");
}

// In a folder like /tmp a symlink may be anybody's, who is not to choose what we write to. As the kernel has it with
// fs.protected_symlinks, which may be off.
static int open_log(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = openat(AT_FDCWD, path, flags | O_NOFOLLOW, 0644);
	struct stat link;

	if (fd != -1 || errno != ELOOP)
		return fd;
	if (fstatat(AT_FDCWD, path, &link, AT_SYMLINK_NOFOLLOW) == 0 && (link.st_uid == 0 || link.st_uid == geteuid()))
		return openat(AT_FDCWD, path, flags, 0644);
	errno = ELOOP;
	return -1;
}

void report_log(const struct config *config, const char *action, const char *path)
{
	struct message message;
	int fd = STDERR_FILENO;

	if (!config->log_stderr && !config->log_path)
		return;
	if (config->log_path)
		fd = open_log(config->log_path);
	if (fd == -1) {
		report_error(config->log_path, errno, NULL, "EXCLUSIVELOCK_LOG: the line is not written");
		return;
	}
	message = message_to(fd);
	add_time(&message);
	add(&message, " [");
	add_number(&message, (uint64_t)getpid());
	add(&message, "] ");
	add(&message, action);
	add(&message, " ");
	add_visible_string(&message, path);
	add(&message, "...");
	finish(&message);
	if (config->log_path)
		(void)close(fd);
}

const char *report_errno(int error)
{
	static const struct {
		int error;
		const char *text;
	} texts[] = {
		{ EPERM, "Operation not permitted" },
		{ ENOENT, "No such file or directory" },
		{ EIO, "Input/output error" },
		{ E2BIG, "Argument list too long" },
		{ ENOEXEC, "Exec format error" },
		{ ENXIO, "No such device or address" },
		{ EAGAIN, "Resource temporarily unavailable" },
		{ ENOMEM, "Cannot allocate memory" },
		{ EACCES, "Permission denied" },
		{ ENOTDIR, "Not a directory" },
		{ EISDIR, "Is a directory" },
		{ EINVAL, "Invalid argument" },
		{ ENFILE, "Too many open files in system" },
		{ EMFILE, "Too many open files" },
		{ ETXTBSY, "Text file busy" },
		{ EFBIG, "File too large" },
		{ ENOSPC, "No space left on device" },
		{ EROFS, "Read-only file system" },
		{ ENAMETOOLONG, "File name too long" },
		{ ENOLCK, "No locks available" },
		{ ENOSYS, "Function not implemented" },
		{ ELOOP, "Too many levels of symbolic links" },
		{ ELIBBAD, "Accessing a corrupted shared library" },
		{ EBADMSG, "Bad message" },
		{ EOPNOTSUPP, "Operation not supported" },
		{ ESTALE, "Stale file handle" },
		{ EDQUOT, "Disk quota exceeded" },
	};
	static char number[sizeof("error ") + TEXT_NUMBER_MAX];
	struct text text;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (texts[i].error == error)
			return texts[i].text;
	text = text_in(number, sizeof(number));
	text_add(&text, "error ");
	text_number(&text, (uint64_t)error);
	return number;
}
