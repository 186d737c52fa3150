// SPDX-License-Identifier: MIT
#include "record.h"

#include "pause.h"
#include "procfile.h"
#include "text.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define STAMP_MODULUS 1000000000u
// The first digits of the boot's random number, which suffice to tell two apart.
#define BOOT_DIGITS 8
#define BOOT_UNKNOWN UINT32_MAX
// A PID and its newline, with room to spare for the blanks of others.
#define CONTENT_MAX 64
#define NS_PER_SECOND INT64_C(1000000000)
// How long a process may be ending to which the lock was left: as long as all looks of a start may take.
#define SETTLES_NS INT64_C(250000000)
// The PID of a process that always lives.
#define FIRST_PROCESS '1'
#define LOOKS_SHORT 3
#define LOCK_TRIES 30
#define LOCK_PAUSE_US 4000
// At first: others of ours have it for microseconds, and somebody may wait for us to end.
#define LOCK_TRIES_SHORT 5
#define LOCK_PAUSE_SHORT_US 100

// The file system of a disk is on a device with a major number.
static bool is_on_disk(dev_t device)
{
	return ((device >> 8) & 0xfff) != 0 || device >> 44 != 0;
}

bool record_outlives_boot(int fd, dev_t device)
{
	static dev_t volatile_device;
	struct statfs status;

	if (is_on_disk(device))
		return true;
	if (__atomic_load_n(&volatile_device, __ATOMIC_RELAXED) == device)
		return false;
	if (fstatfs(fd, &status) == 0 && status.f_type != TMPFS_MAGIC && status.f_type != RAMFS_MAGIC)
		return true;
	__atomic_store_n(&volatile_device, device, __ATOMIC_RELAXED);
	return false;
}

static uint32_t read_boot_number(void)
{
	char digits[BOOT_DIGITS];
	uint32_t number = 0;

	if (procfile_read("/proc/sys/kernel/random/boot_id", digits, sizeof(digits)) != sizeof(digits))
		return BOOT_UNKNOWN;
	for (size_t i = 0; i < sizeof(digits); i++)
		number = number * 16 + (uint32_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
	return number % STAMP_MODULUS;
}

static uint32_t boot_number(void)
{
	static uint32_t known = BOOT_UNKNOWN;
	uint32_t number = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (number == BOOT_UNKNOWN) {
		number = read_boot_number();
		__atomic_store_n(&known, number, __ATOMIC_RELAXED);
	}
	return number;
}

// STAMP of a process as the file FD, of STATUS, is to have it. Where files outlive the boot, PID and start time of a record may be those of
// a process of the next one by chance; the boot's number tells them apart, which no step of the clock changes.
static uint32_t stamp_to_write(int fd, const struct stat *status, uint32_t stamp)
{
	uint32_t boot;

	if (stamp == PROCESS_NO_STAMP || !record_outlives_boot(fd, status->st_dev))
		return stamp;
	boot = boot_number();
	return boot == BOOT_UNKNOWN ? PROCESS_NO_STAMP : (stamp + boot) % STAMP_MODULUS;
}

// On a disk every stamp has the boot's number added. Elsewhere a reader tries both, and does not ask for the file system: one file may be
// reached through two kinds of them, an overlay and what lies below it; and a sandbox may forbid the question.
bool record_has_stamp(const struct record *record, uint32_t stamp)
{
	uint32_t boot;

	if (record->stamp == PROCESS_NO_STAMP || stamp == PROCESS_NO_STAMP)
		return false;
	if (!record->on_disk && record->stamp == stamp)
		return true;
	boot = boot_number();
	return boot != BOOT_UNKNOWN && record->stamp == (stamp + boot) % STAMP_MODULUS;
}

struct record record_parse(const char *content, size_t length, long nanoseconds)
{
	struct record record = { .stamp = PROCESS_NO_STAMP, .empty = length == 0 };
	const char *at = content, *end = content + length;
	uint64_t number;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if (!text_parse_number(&at, end, &number) || number > INT32_MAX)
		return record;
	if (at < end && *at == '\n') {
		record.stamp = (uint32_t)nanoseconds;
		record.handed_on = end - at > 1 && at[1] == '\n';
	}
	else if (at < end && *at != ' ' && *at != '\t' && *at != '\r')
		return record;
	record.pid = (pid_t)number;
	return record;
}

// Half a PID would be the PID of another process, so what is there has to be read whole: a short read, or a writer between the two
// calls, is looked at again.
int record_read(int fd, struct record *record, struct stat *status)
{
	char content[CONTENT_MAX];

	for (int look = 0; look < LOOKS_SHORT; look++) {
		ssize_t length = pread(fd, content, sizeof(content), 0);

		if (length == -1 || fstat(fd, status) == -1)
			return -1;
		if (length < (ssize_t)sizeof(content) && length < status->st_size)
			continue;
		// A number that may go on is not the one it seems to be.
		if (length == sizeof(content) && content[length - 1] >= '0' && content[length - 1] <= '9')
			content[length - 1] = '?';
		*record = record_parse(content, (size_t)length, status->st_mtim.tv_nsec);
		record->on_disk = is_on_disk(status->st_dev);
		return 0;
	}
	errno = EIO;
	return -1;
}

int record_peek(const char *path, struct record *record, struct stat *status)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | RECORD_OPEN_FLAGS);
	int result, error;

	if (fd == -1)
		return -1;
	result = record_read(fd, record, status);
	error = errno;
	// What a deleted file says is about nobody.
	if (result == 0 && status->st_nlink == 0) {
		result = -1;
		error = ENOENT;
	}
	(void)close(fd);
	errno = error;
	return result;
}

int record_open(const char *path, int access, struct stat *status)
{
	int fd = openat(AT_FDCWD, path, access | RECORD_OPEN_FLAGS);

	if (fd == -1 || (fstat(fd, status) == 0 && S_ISREG(status->st_mode) && status->st_nlink == 1))
		return fd;
	(void)close(fd);
	return -1;
}

int record_open_to_hint(const char *path, struct stat *status)
{
	int fd = record_open(path, O_RDWR, status);

	return fd == -1 ? record_open(path, O_RDONLY, status) : fd;
}

// A write past RLIMIT_FSIZE brings SIGXFSZ, and one that crosses it leaves half a PID: 1 for 123. So the limit is looked
// at first; who may raise it does so for a moment. Returns false if LENGTH bytes cannot be written.
static bool raise_limit(size_t length, struct rlimit *saved)
{
	struct rlimit raised;

	if (prlimit(0, RLIMIT_FSIZE, NULL, saved) == -1 || saved->rlim_cur >= length)
		return true;
	raised = (struct rlimit){ .rlim_cur = length, .rlim_max = saved->rlim_max < length ? length : saved->rlim_max };
	return prlimit(0, RLIMIT_FSIZE, &raised, NULL) == 0;
}

static void restore_limit(size_t length, const struct rlimit *saved)
{
	if (saved->rlim_cur < length)
		(void)prlimit(0, RLIMIT_FSIZE, saved, NULL);
}

// Returns how much was written, -1 and errno, or 0: the limit of the file's size leaves no room.
static ssize_t overwrite(int fd, const char *text, size_t length)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };
	ssize_t written;
	int error;

	if (!raise_limit(length, &limit))
		return 0;
	written = pwrite(fd, text, length, 0);
	error = written == -1 ? errno : ENOSPC;
	restore_limit(length, &limit);
	if (written == (ssize_t)length)
		return written;
	errno = error;
	return -1;
}

// The new text goes over the old one, of OLD_SIZE, before the rest is cut off: a full disk cannot come in between.
static int put(int fd, const char *text, size_t length, off_t old_size)
{
	ssize_t written = overwrite(fd, text, length);
	int error = errno;

	if (written == (ssize_t)length)
		return old_size > (off_t)length ? ftruncate(fd, (off_t)length) : 0;
	if (written == 0)
		return ftruncate(fd, 0);
	(void)ftruncate(fd, 0);
	errno = error;
	return -1;
}

// Puts STAMP into the modification time. False: the file cannot carry it.
static bool put_stamp(int fd, uint32_t stamp, struct stat *status)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = 0 } };

	if (stamp == PROCESS_NO_STAMP || clock_gettime(CLOCK_REALTIME, &times[1]) == -1)
		return false;
	times[1].tv_nsec = (long)stamp;
	return futimens(fd, times) == 0 && fstat(fd, status) == 0 && status->st_mtim.tv_nsec == (long)stamp;
}

// The mode that goes with a new record, if MODE is not right already. It is written as a whole, so it is read once more: a hint may have
// been set since. The kernel refuses it on another user's file.
static void put_mode(int fd, mode_t mode)
{
	struct stat now;

	if ((mode & (S_ISVTX | RECORD_HINT_LEFT)) != S_ISVTX && fstat(fd, &now) == 0)
		(void)fchmod(fd, (now.st_mode & 07777 & ~(mode_t)RECORD_HINT_LEFT) | S_ISVTX);
}

// ENDING follows the PID, and says that it is stamped.
static int write_record(int fd, pid_t pid, const char *ending, uint64_t start, struct stat *status)
{
	char content[TEXT_NUMBER_MAX + 2];
	struct text text = text_in(content, sizeof(content));

	text_number(&text, (uint64_t)pid);
	text_add(&text, ending);
	put_mode(fd, status->st_mode);
	if (put(fd, content, text.length, status->st_size) == -1)
		return -1;
	if (put_stamp(fd, stamp_to_write(fd, status, process_stamp(start)), status))
		return 0;
	if (fstat(fd, status) == -1)
		return -1;
	return status->st_size == 0 ? 0 : ftruncate(fd, (off_t)(text.length - strlen(ending)));
}

int record_write(int fd, pid_t pid, uint64_t start, struct stat *status)
{
	return write_record(fd, pid, "\n", start, status);
}

int record_hand_on(int fd, pid_t pid, uint64_t start, struct stat *status)
{
	return write_record(fd, pid, "\n\n", start, status);
}

// By the wall clock, of which a step can only make a refusal come sooner or that much later.
uint64_t record_settles_in(const struct record *record, const struct stat *status)
{
	struct timespec now;
	int64_t age;

	if (!record->handed_on || clock_gettime(CLOCK_REALTIME, &now) == -1)
		return 0;
	age = ((int64_t)now.tv_sec - status->st_ctim.tv_sec) * NS_PER_SECOND + now.tv_nsec - status->st_ctim.tv_nsec;
	return age >= 0 && age < SETTLES_NS ? (uint64_t)(SETTLES_NS - age) : 0;
}

void record_close(int fd, const struct stat *status)
{
	char content[CONTENT_MAX];
	size_t length = status->st_size < CONTENT_MAX ? (size_t)status->st_size : CONTENT_MAX;

	memset(content, ' ', length - 1);
	content[length - 1] = FIRST_PROCESS;
	if (overwrite(fd, content, length) > 0 && status->st_size > CONTENT_MAX)
		(void)ftruncate(fd, CONTENT_MAX);
}

bool record_is_same(const struct record *a, const struct record *b)
{
	return a->pid == b->pid && a->stamp == b->stamp && a->empty == b->empty;
}

// Whether the stamp of RECORD, which has one, belongs to the process of STATUS.
static bool is_stamp_of(const struct record *record, const struct process_stat *status)
{
	uint32_t boot;

	if (!record->on_disk && process_began_at(status, record->stamp))
		return true;
	boot = boot_number();
	// Where the boot's number is not to be had, the process that has the PID may be the recorded one.
	return boot == BOOT_UNKNOWN || process_began_at(status, (record->stamp + STAMP_MODULUS - boot) % STAMP_MODULUS);
}

bool record_is_alive(const struct record *record)
{
	struct process_stat status;

	if (record->pid <= 0)
		return false;
	if (process_read_stat(record->pid, &status) == -1)
		return kill(record->pid, 0) == 0 || errno != ESRCH;
	return !process_has_ended(&status) && (record->stamp == PROCESS_NO_STAMP || is_stamp_of(record, &status));
}

bool record_is_credible(const struct record *record, const struct stat *status)
{
	char path[PROCFILE_PATH];
	struct stat process;

	if ((status->st_mode & S_IWOTH) || (record->pid == 1 && record->stamp == PROCESS_NO_STAMP))
		return false;
	if (status->st_uid != 0 && !user_is_same(status->st_uid, geteuid()) &&
	    !(fstatat(AT_FDCWD, procfile_path(path, record->pid, ""), &process, 0) == 0 && user_is_same(status->st_uid, process.st_uid)))
		return false;
	return record->stamp != PROCESS_NO_STAMP || process_began_before(record->pid, &status->st_mtim);
}

bool record_is_of(const struct record *record, const struct process_self *self)
{
	// A bare PID may be that of another PID namespace's process, or of one long gone.
	return record->pid == self->pid && record_has_stamp(record, process_stamp(self->start));
}

int record_lock(int fd, short type, pid_t *writer)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET }, other;

	*writer = 0;
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -1;
		pause_us(tries < LOCK_TRIES_SHORT ? LOCK_PAUSE_SHORT_US : LOCK_PAUSE_US);
	}
	other = lock;
	// Beside a reader that never lets go we are a reader, too: that keeps writers out. One of many writers may just have let go;
	// the next one must not find us without the lock.
	if (fcntl(fd, F_OFD_GETLK, &other) == 0 && other.l_type == F_RDLCK)
		lock.l_type = F_RDLCK;
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	*writer = other.l_type == F_WRLCK && other.l_pid > 0 ? other.l_pid : 0;
	errno = EWOULDBLOCK;
	return -1;
}

void record_unlock(int fd)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(fd, F_OFD_SETLK, &lock);
}

mode_t record_hints(const struct stat *status)
{
	return status->st_uid == 0 || status->st_uid == geteuid() ? status->st_mode : 0;
}

// A mode is written as a whole: from a look before the lock it would take back what others have set since, or bring the last word of
// one long gone back. Without the lock only that is worth the risk without which somebody could get in beside another one.
bool record_hint(int fd, const struct stat *status, mode_t hint)
{
	struct stat now;
	pid_t writer;
	bool locked, set = false;

	if (status->st_mode & hint)
		return true;
	locked = record_lock(fd, F_WRLCK, &writer) == 0;
	if ((locked || hint == RECORD_HINT_MAPPED) && fstat(fd, &now) == 0)
		set = fchmod(fd, (now.st_mode & 07777) | hint | S_ISVTX) == 0;
	if (locked)
		record_unlock(fd);
	return set;
}
