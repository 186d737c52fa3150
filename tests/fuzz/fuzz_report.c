// SPDX-License-Identifier: MIT
// What the user reads, whatever is in a name, a value or a path: as vis(3) has it, so no byte but the last newline can drive a
// terminal. What is written goes to memory.
#include "../helpers/words.h"
#include "config.h"
#include "fuzz.h"
#include "report.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>
#include <vis.h>

#define LOG_DESCRIPTOR 1000

static char *written;
static size_t written_size;
static int writes_until_failure, expected_descriptor;
static bool failed, log_opens;
static struct timespec now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_close(int fd);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_watch_arm(struct watch_alarm *alarm, uint64_t deadline);
void __wrap_watch_disarm(struct watch_alarm *alarm);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	*time = clock == CLOCK_REALTIME ? now : (struct timespec){ 0 };
	return 0;
}

int __wrap_openat(int folder, const char *path, int flags, ...)
{
	CHECK(folder == AT_FDCWD && path[0] == '/');
	errno = EACCES;
	// A refusal asks whether the holder is the keeper of a lock in a cluster.
	if (strncmp(path, "/proc/", 6) == 0 && !(flags & O_APPEND))
		return -1;
	CHECK((flags & O_APPEND) && (flags & O_NONBLOCK));
	return log_opens ? LOG_DESCRIPTOR : -1;
}

int __wrap_close(int fd)
{
	CHECK(fd == LOG_DESCRIPTOR);
	return 0;
}

// No write waits without it.
static bool armed;

int __wrap_watch_arm(struct watch_alarm *alarm, uint64_t deadline)
{
	CHECK(alarm && deadline != UINT64_MAX);
	armed = true;
	return 0;
}

void __wrap_watch_disarm(struct watch_alarm *alarm)
{
	CHECK(alarm);
	armed = false;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
	CHECK(fd == expected_descriptor && armed && !failed && size > 0 && size <= PIPE_BUF);
	if (writes_until_failure-- == 0) {
		failed = true;
		return (ssize_t)size - 1;
	}
	// Whole pieces, but for the last one.
	CHECK(written_size % PIPE_BUF == 0);
	// cppcheck-suppress memleakOnRealloc ; the next line ends the process then
	written = realloc(written, written_size + size);
	CHECK(written);
	memcpy(written + written_size, bytes, size);
	written_size += size;
	return (ssize_t)size;
}

// To be freed.
static char *visible(const char *text)
{
	char *result = malloc(strlen(text) * 4 + 1);

	CHECK(result);
	(void)strvis(result, text, VIS_OCTAL | VIS_NL | VIS_TAB);
	return result;
}

// Compares what was written with EXPECTED, of which a write that failed has kept the end back. Frees it.
static void check_written(char *expected)
{
	size_t length = strlen(expected);

	CHECK(expected[length - 1] == '\n');
	CHECK(failed ? written_size < length : written_size == length);
	CHECK(written_size == 0 || memcmp(written, expected, written_size) == 0);
	for (size_t i = 0; i < written_size; i++)
		CHECK((written[i] >= ' ' && written[i] <= '~') || (written[i] == '\n' && i == length - 1));
	free(written);
	free(expected);
	written = NULL;
	written_size = 0;
	failed = false;
}

static char *format(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	CHECK(vasprintf(&text, format, arguments) > 0);
	va_end(arguments);
	return text;
}

// An argument as it stands in a name: with a backslash before each blank and backslash. To be freed.
static char *escaped(const char *argument)
{
	char *result = malloc(2 * strlen(argument) + 1), *at = result;

	CHECK(result);
	for (; *argument; argument++) {
		if (*argument == ' ' || *argument == '\\')
			*at++ = '\\';
		*at++ = *argument;
	}
	*at = '\0';
	return result;
}

static void refuse(char *const *strings, pid_t pid, int failure)
{
	const struct lockname name = { strings[0], (char *const *)strings + 1 };
	char *text = strdup(strings[0]), *shown;

	CHECK(text);
	for (char *const *argument = strings + 1; *argument; argument++) {
		char *added = escaped(*argument), *longer = format("%s %s", text, added);

		free(added);
		free(text);
		text = longer;
	}
	shown = visible(text);
	writes_until_failure = failure;
	expected_descriptor = STDERR_FILENO;
	report_refused(&name, pid);
	check_written(pid > 0 ? format(REFUSAL_PID, shown, (int)pid)
			      : format(REFUSAL, shown));
	free(shown);
	free(text);
}

static void complain(const char *text, int error, int failure)
{
	const struct config_error config_error = { "EXCLUSIVELOCK_BY", text, "must be exe or args" };
	char *shown = visible(text);

	writes_until_failure = failure;
	expected_descriptor = STDERR_FILENO;
	report_error(text, error, error ? NULL : "it is so", error & 1 ? "do better" : NULL);
	check_written(format("exlock: %s: %s%s\n", shown, error ? report_errno(error) : "it is so", error & 1 ? " (do better)" : ""));
	writes_until_failure = failure;
	report_config_error(&config_error);
	check_written(format("exlock: EXCLUSIVELOCK_BY='%s': must be exe or args\n", shown));
	// In libc's words, or in none.
	if (strncmp(report_errno(error), "error ", 6) != 0)
		CHECK(strcmp(report_errno(error), strerror(error)) == 0);
	free(shown);
}

static void write_log(char *path, uint8_t choice, int failure)
{
	struct config config = { .log_stderr = choice & 1, .log_path = choice & 1 ? NULL : path };
	char *shown, time[64];
	struct tm calendar;

	path[0] = '/';
	log_opens = choice & 2;
	writes_until_failure = failure;
	expected_descriptor = config.log_path && log_opens ? LOG_DESCRIPTOR : STDERR_FILENO;
	report_log(&config, "Acquired lock at", path);
	shown = visible(path);
	CHECK(gmtime_r(&now.tv_sec, &calendar));
	CHECK(strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &calendar) > 0);
	if (config.log_path && !log_opens)
		check_written(format("exlock: %s: Permission denied (EXCLUSIVELOCK_LOG: the line is not written)\n", shown));
	else
		check_written(format("%s [%d] Acquired lock at %s...\n", time, (int)getpid(), shown));
	free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = input_of(data, size);
	uint8_t choice = input_byte(&input);
	int failure = choice >> 2 & 3 ? INT_MAX : choice >> 4 & 3;
	pid_t pid = (pid_t)input_number(&input, 4);
	int error = (int)input_byte(&input);
	char **strings;

	// Until the year 9999.
	now.tv_sec = (time_t)(input_number(&input, 5) % UINT64_C(253402300800));
	strings = input_strings(&input);
	if (strings[0] && strings[0][0]) {
		refuse(strings, pid, failure);
		complain(strings[0], error, failure);
		write_log(strings[0], choice, failure);
	}
	input_free(strings);
	return 0;
}
