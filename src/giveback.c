// SPDX-License-Identifier: MIT
// The end of a lock: lockfile_release() in a process that goes on, lockfile_leave() in one that ends.
#include "claim.h"
#include "descriptor.h"
#include "hold.h"
#include "holder.h"
#include "keepers.h"
#include "lockfile.h"
#include "pause.h"
#include "process.h"
#include "record.h"
#include "relatives.h"
#include "successor.h"
#include "tombstone.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// How often it is looked at least who has got the flock that we have just given up.
#define LOOKS_FOR_HEIR 100
// How often in a row somebody has it who does not show: a contender may have it for an instant, and be gone at the look for it.
#define LOOKS_UNSEEN 3
#define LOOK_AGAIN_US 50
// How long a daemon waits for the end of the process that took its lock.
#define DAEMON_NS UINT64_C(250000000)
// What is mapped of a record, and the digits of a PID at most.
#define RECORD_PAGE 1
#define RECORD_DIGITS 8
// The lock file, open, and what it said while this process had its flock.
struct own_file {
	int fd;
	struct record record;
	struct stat status;
	bool goes_on;	// a child may be the same program that goes on
	bool mapped;	// what this process has forked maps the file
};

// Whether processes have been forked from the one that took the lock, as far as this one can tell.
static bool has_family(const struct lockfile *lock)
{
	return getpid() != lock->self.pid || process_has_forked();
}

// With the flock in hand again, before the name goes with the file: a process that was forked from the holder may still be ending
// that the flock has left first. Over a file that stays, or is taken over, newcomers look for such processes; behind a fresh one
// they would not know of them. False: the file is to stay, for one has not ended within the budget.
static bool await_family(struct lockfile *lock, uid_t owner)
{
	return !has_family(lock) || holder_await_endings(&lock->self, owner, &lock->budget);
}

static struct mapped_file file_of(struct lockfile *lock)
{
	return (struct mapped_file){ .device = lock->device, .inode = lock->inode, .path = lock->path, .budget = &lock->budget };
}

void lockfile_map_record(struct lockfile *lock, int descriptor)
{
	bool writes = descriptor != -1 && (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDWR;
	struct stat status;
	int fd = writes ? descriptor : record_open(lock->path, O_RDWR, &status);

	if (fd == -1)
		return;
	if (writes || (status.st_dev == lock->device && status.st_ino == lock->inode)) {
		void *page = mmap(NULL, RECORD_PAGE, PROT_READ, MAP_SHARED, fd, 0);

		lock->page = page == MAP_FAILED ? NULL : page;
	}
	if (!writes)
		(void)close(fd);
}

// Blanks in the place of the digits: a number that names nobody, but no longer one. The file may have been cut since, so the kernel is
// to write: it has an error where this process would get SIGBUS.
static bool blank_record(struct lockfile *lock)
{
	char digits[RECORD_DIGITS], blanks[RECORD_DIGITS];
	struct iovec here = { digits, sizeof(digits) }, there = { lock->page, sizeof(digits) };
	size_t length = 0;

	if (!lock->page || process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)sizeof(digits))
		return false;
	while (length < sizeof(digits) && digits[length] >= '0' && digits[length] <= '9')
		length++;
	memset(blanks, ' ', sizeof(blanks));
	here = (struct iovec){ blanks, length };
	there.iov_len = length;
	return mprotect(lock->page, RECORD_PAGE, PROT_READ | PROT_WRITE) == 0 &&
	       process_vm_writev(getpid(), &here, 1, &there, 1, 0) == (ssize_t)length;
}

// Writes the record of PID in the place of LAST, if that still is there. False: it cannot be written.
static bool rewrite_record(int fd, const struct record *last, pid_t pid, uint64_t start)
{
	struct record record;
	struct stat status;
	pid_t writer;
	bool done;

	if (record_lock(fd, F_WRLCK, &writer) == -1)
		return false;
	done = record_read(fd, &record, &status) == 0 &&
	       (!record_is_same(&record, last) || record_write(fd, pid, start, &status) == 0);
	record_unlock(fd);
	return done;
}

// Makes the record of the open file name nobody, if it names this process: a PID that no process can have. An empty record would be a
// peer's about to be written.
static bool disown_record(struct lockfile *lock, const struct own_file *own)
{
	return own->record.pid != getpid() || rewrite_record(own->fd, &own->record, INT32_MAX, PROCESS_START_UNKNOWN) || blank_record(lock);
}

// Opens the file at the path if it is LOCK's, for writing if we may. False: it is not there. *ERROR is why it cannot be written or opened;
// ESTALE: it is another file.
static bool open_to_release(const struct lockfile *lock, struct own_file *own, int *error)
{
	*error = 0;
	own->fd = record_open(lock->path, O_RDWR, &own->status);
	if (own->fd == -1) {
		*error = errno;
		own->fd = record_open(lock->path, O_RDONLY, &own->status);
	}
	if (own->fd == -1)
		return false;
	if (own->status.st_dev == lock->device && own->status.st_ino == lock->inode && record_read(own->fd, &own->record, &own->status) == 0)
		return true;
	(void)close(own->fd);
	*error = ESTALE;
	return false;
}

// Where the path leads to nothing or to another file, nobody sees what this process has in its own: only a changed root has the same
// look, and there the record is blanked.
static bool disown_unseen(struct lockfile *lock, int error)
{
	return blank_record(lock) || error == ENOENT || error == ESTALE;
}

// Whether somebody waits. This is asked while this process has the flock. Afterwards the first waiter wakes up, and until it has the flock
// the kernel's list shows neither it nor those behind it; deleted under them, the file would cost them their order.
static bool has_waiters(struct lockfile *lock, const struct own_file *own)
{
	const struct mapped_file file = file_of(lock);

	return (record_hints(&own->status) & RECORD_HINT_WAITERS) && keepers_find_waiters(&file) != WAITERS_NONE;
}

// The flock again, on another description of the file: busy, a contender has it, or a child that was forked from us.
static void delete_if_alone(struct lockfile *lock, struct own_file *own)
{
	if (flock(own->fd, LOCK_EX | LOCK_NB) == 0 && record_read(own->fd, &own->record, &own->status) == 0 && !own->record.empty &&
	    !record_is_alive(&own->record) && await_family(lock, own->status.st_uid))
		(void)claim_delete(lock->path, own->fd, lock->device, lock->inode, &own->record);
}

// The record names nobody before the flock goes: a thread of this process that waits would take its own PID for its own lock's.
int lockfile_release(struct lockfile *lock)
{
	struct own_file own;
	pid_t holder;
	bool opened, stays;
	int error;

	lock->budget.end = 0;
	if (!lockfile_is_own(lock, &holder)) {
		hold_end(lock);
		return 0;
	}
	opened = open_to_release(lock, &own, &error);
	if (opened ? !disown_record(lock, &own) : !disown_unseen(lock, error)) {
		if (error == 0)
			error = errno;
		if (opened)
			(void)close(own.fd);
		errno = error;
		return -1;
	}
	stays = !opened || has_waiters(lock, &own);
	hold_end(lock);
	if (!stays)
		delete_if_alone(lock, &own);
	if (opened)
		(void)close(own.fd);
	return 0;
}

// The process that LOCK is by the record, or where that cannot be read, by who took it; 0: by now it is nobody's.
static pid_t find_owner(const struct lockfile *lock, struct record *record)
{
	struct stat status;

	if (record_peek(lock->path, record, &status) == 0 && status.st_dev == lock->device && status.st_ino == lock->inode)
		return record_is_alive(record) ? record->pid : 0;
	*record = (struct record){ .empty = true };
	return process_is_instance(lock->self.pid, lock->self.start) ? lock->self.pid : 0;
}

// daemon(3) ends the parent by libc's own _exit(), which may come after what the child does next. A child in a session of its own whose
// parent goes on is no daemon: it waits once.
static void await_owner(struct lockfile *lock, pid_t owner)
{
	pid_t session = getsid(0);
	bool is_daemon = owner == lock->self.pid && session != lock->self.session;

	if (owner != getpid() && (is_daemon || process_is_ending(owner)))
		(void)watch_process(owner, pause_clock() + DAEMON_NS);
	lock->self.session = session;
}

static void inherit(struct lockfile *lock, const struct record *record)
{
	struct stat status;
	int fd;

	lock->self = process_self();
	if (record->empty || (fd = record_open(lock->path, O_RDWR, &status)) == -1)
		return;
	if (status.st_dev == lock->device && status.st_ino == lock->inode)
		(void)rewrite_record(fd, record, lock->self.pid, lock->self.start);
	(void)close(fd);
}

bool lockfile_is_own(struct lockfile *lock, pid_t *holder)
{
	const pid_t pid = getpid();
	struct record record;

	*holder = 0;
	if (process_has_moved(pid, &lock->self))
		return false;
	if (pid == lock->self.pid)
		return true;
	*holder = find_owner(lock, &record);
	if (*holder != 0 && *holder != pid) {
		await_owner(lock, *holder);
		*holder = find_owner(lock, &record);
	}
	if (*holder == 0) {
		struct process_self before = lock->self;

		inherit(lock, &record);
		// Another child of the same process may have been quicker.
		*holder = find_owner(lock, &record);
		if (*holder != 0 && *holder != pid)
			lock->self = before;
	}
	if (*holder == pid)
		lock->self = process_self();
	return *holder == 0 || *holder == pid;
}

// Opens the file at the path if it is ours, for writing if we may. The kernel closes it, after what libc still flushes: to descriptors
// that the program may have closed, and that would be this one.
static bool open_own(const struct lockfile *lock, struct own_file *own)
{
	int fd = openat(AT_FDCWD, lock->path, O_RDWR | RECORD_OPEN_FLAGS);

	if (fd == -1 && (errno == EACCES || errno == EROFS || errno == EPERM))
		fd = openat(AT_FDCWD, lock->path, O_RDONLY | RECORD_OPEN_FLAGS);
	if (fd == -1)
		return false;
	own->fd = descriptor_move_aside(fd);
	if (record_read(own->fd, &own->record, &own->status) == 0 && own->status.st_dev == lock->device &&
	    own->status.st_ino == lock->inode)
		return true;
	(void)close(own->fd);
	return false;
}

// Whether somebody has the flock whom /proc/locks does not show here: in another PID namespace.
static bool is_taken_unseen(const struct mapped_file *file)
{
	return !holder_flock_is_free(file->path) && keepers_find_taker(file) == 0;
}

// Whether one of those who wait has the flock now. If it is under our own PID, or that of one who has ended, a child forked from us
// keeps it. WAITED: somebody waits, and on a busy machine it may take some time to wake up; while we are there nobody else gets in
// before it.
static bool has_heir(struct lockfile *lock, const struct mapped_file *file, bool waited)
{
	pid_t taker = 0;
	int unseen = 0;

	if (process_proc_is_foreign())
		return false;
	for (int looks = 0; taker == 0 && unseen < LOOKS_UNSEEN && (looks < LOOKS_FOR_HEIR || waited); looks++) {
		if (looks > 0 && budget_is_over(&lock->budget))
			break;
		if (looks > 0)
			pause_us(LOOK_AGAIN_US);
		taker = keepers_find_taker(file);
		unseen = looks >= LOOKS_FOR_HEIR && taker == 0 && is_taken_unseen(file) ? unseen + 1 : 0;
	}
	return taker > 0 && taker != getpid() && taker != lock->self.pid && process_alive(taker, PROCESS_NO_STAMP);
}

// The next one has none but us to wait for: says so, if that is certain. Where the record does not name us, an heir may have written
// its own by now.
static void leave_word(const struct lockfile *lock, const struct own_file *own)
{
	if ((lock->recorded || lock->resumed) && !has_family(lock))
		record_hint(own->fd, &own->status, RECORD_HINT_LEFT);
}

// Only what was forked from the holder maps the file without having the flock.
static bool is_kept_by_mapping(const struct lockfile *lock, const struct own_file *own, const struct mapped_file *file)
{
	return (lock->shares || (record_hints(&own->status) & RECORD_HINT_MAPPED)) && has_family(lock) &&
	       holder_hand_on_mapped(file, &lock->self);
}

bool lockfile_names(const struct lockfile *lock, pid_t pid)
{
	struct record record;
	struct stat status;

	return record_peek(lock->path, &record, &status) == 0 && record.pid == pid && status.st_dev == lock->device &&
	       status.st_ino == lock->inode;
}

// Whether the same program goes on. A copy that was seen to run with the flock in this process' hands has the record, and nobody gets in between.
// A child that had not called exec by then kept the flock until it did. So once others have the flock, or nobody, this is asked again: the
// tombstone keeps newcomers out, and those who wait do so for this process, which the record names.
static bool leave_to_copy(const struct lockfile *lock, const struct own_file *own, const struct mapped_file *file)
{
	return own->goes_on && lockfile_names(lock, getpid()) && successor_record(file, &own->record, own->mapped);
}

// Whether a forked child keeps the lock, or a copy: a child that calls exec meanwhile is waited for. Who was seen to keep the flock may have
// called exec before it got into the record.
static bool is_handed_on(struct lockfile *lock, const struct own_file *own, const struct mapped_file *file, bool watch_flock)
{
	bool kept = holder_hand_on(file, &lock->self, &own->record, watch_flock);

	return leave_to_copy(lock, own, file) || kept;
}

// Leaves everything to the kernel but the record. Returns whether the lock was given back.
static bool leave_all(struct lockfile *lock, const struct own_file *own, const struct mapped_file *file)
{
	hold_leave_to_kernel(lock);
	return !is_handed_on(lock, own, file, false);
}

// The file stays for those who wait. Under a tombstone the first of them can wake up while we are still ending, and where it has got
// the flock nobody has to be looked for who may keep it. Returns whether the lock was given back.
static bool leave_to_waiters(struct lockfile *lock, const struct own_file *own, const struct mapped_file *file, enum waiters waiters)
{
	bool heir;

	if (process_proc_is_foreign() || tombstone_raise(lock->path) == -1)
		return leave_all(lock, own, file);
	hold_end(lock);
	heir = has_heir(lock, file, waiters == WAITERS_SEEN);
	if (!heir)
		return !is_handed_on(lock, own, file, false);
	if (leave_to_copy(lock, own, file) || is_kept_by_mapping(lock, own, file))
		return false;
	leave_word(lock, own);
	return true;
}

// Whether we are the last can only be tried by giving our part up. From here the tombstone alone keeps others out; where
// there is none, everything stays as it is, and a stale file is harmless. The busy flock is a child's that was forked from us, or one
// has it who waits. Deleted, the file's flock is kept by OWN's descriptor until this process is gone. Returns whether the lock was given
// back.
static bool let_go(struct lockfile *lock, const struct own_file *own, const struct mapped_file *file)
{
	bool last;

	if (tombstone_raise(lock->path) == -1)
		return leave_all(lock, own, file);
	hold_end(lock);
	last = flock(own->fd, LOCK_EX | LOCK_NB) == 0;
	if (!last && errno != EWOULDBLOCK)
		return true;
	if (!last && !has_heir(lock, file, false)) {
		if (is_handed_on(lock, own, file, true))
			return false;
		last = flock(own->fd, LOCK_EX | LOCK_NB) == 0;
	}
	if (leave_to_copy(lock, own, file) || is_kept_by_mapping(lock, own, file))
		return false;
	if (!last) {
		leave_word(lock, own);
		return true;
	}
	if (await_family(lock, own->status.st_uid))
		(void)claim_delete(lock->path, own->fd, lock->device, lock->inode, &own->record);
	return true;
}

// A daemon has the flock by its mapping, while the record may still name its parent, which has ended: then it counts as the holder. Apart, so that
// what it has on the stack is gone when processes are looked at.
__attribute__((noinline)) static void enter_record(const struct lockfile *lock, struct own_file *own)
{
	struct process_self self;

	if (getpid() == lock->self.pid || own->record.pid == getpid() || !lock->mapping || own->record.empty)
		return;
	self = process_self();
	if (rewrite_record(own->fd, &own->record, self.pid, self.start))
		(void)record_read(own->fd, &own->record, &own->status);
}

bool lockfile_leave(struct lockfile *lock)
{
	const struct mapped_file file = file_of(lock);
	enum waiters waiters = WAITERS_NONE;
	struct own_file own = { .goes_on = false };
	pid_t pid;

	lock->budget.end = 0;
	if (!open_own(lock, &own))
		return true;
	// A worker: what it shares with the holder ends when it does. Who took the lock is none, whoever's number stands in a stale file
	// that it could not write to.
	pid = getpid();
	if ((pid != lock->self.pid && own.record.pid != pid && record_is_alive(&own.record)) || process_has_moved(pid, &lock->self)) {
		hold_leave_to_kernel(lock);
		return false;
	}
	if (process_has_children()) {
		enter_record(lock, &own);
		own.mapped = lock->mapping != NULL;
		own.goes_on = lock->goes_on && own.record.pid == pid;
		if (leave_to_copy(lock, &own, &file)) {
			hold_leave_to_kernel(lock);
			return false;
		}
		// What a child has in common with us, clone(CLONE_VM), it would lose with our munmap().
		if (relatives_share_memory(&lock->budget))
			return leave_all(lock, &own, &file);
	}
	if (record_hints(&own.status) & RECORD_HINT_WAITERS)
		waiters = keepers_find_waiters(&file);
	if (waiters != WAITERS_NONE)
		return leave_to_waiters(lock, &own, &file, waiters);
	return let_go(lock, &own, &file);
}
