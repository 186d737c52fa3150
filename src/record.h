// SPDX-License-Identifier: MIT
// The record in the lock file: whose it is. "PID\n" with the stamp in the file's modification time, or as peers that
// know no stamp write it, "PID" alone. In a directory that outlives a boot (no tmpfs) the stamp in the file has the boot's number added.
#ifndef EXLOCK_RECORD_H
#define EXLOCK_RECORD_H

#include "process.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// How every lock file is opened. Not with O_CREAT: with fs.protected_regular the kernel refuses that on another user's file
// in a sticky directory. Not blocking on a FIFO that somebody planted.
#define RECORD_OPEN_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

// The mode of a new lock file. The sticky bit keeps cleaners off: systemd-tmpfiles(8) deletes no old file that has it, however long
// the holder runs (tmpfiles.d(5); cleaners.bats).
#define RECORD_MODE (0644 | S_ISVTX)

// Hints in the file's mode, by bits that mean nothing on such a file; a change of mode leaves the stamp alone. Set by who may. The first
// two are never taken back while the file exists: what they hint at is then looked at closely. The third goes with the record.
// None is a set-ID bit: the kernel clears those when somebody writes to the file, and security scanners report them.
#define RECORD_HINT_WAITERS S_IXOTH	// somebody waited for the flock
#define RECORD_HINT_MAPPED S_IXUSR	// somebody keeps the lock by a mapping that has not got the flock
#define RECORD_HINT_LEFT S_IXGRP	// the recorded process has left the flock to one who waited, and none of its own kept it. Said to that
					// one alone: who may not write a record takes this over, too

// The hints of the file of STATUS that count. Who owns the file sets its mode: none of a stranger's, neither root nor this user, does.
mode_t record_hints(const struct stat *status);

struct record {
	pid_t pid;		// 0: names no process
	uint32_t stamp;		// as it is in the file, see record_has_stamp(); PROCESS_NO_STAMP: the record has none
	bool empty;		// the file has no content: its creator has not written yet
	bool handed_on;		// an ending process has written it: record_hand_on()
	bool on_disk;		// the file's device is a disk
};

// Understands CONTENT; NANOSECONDS are those of the file's modification time. Pure.
struct record record_parse(const char *content, size_t length, long nanoseconds);

// Whether the file system of FD, a file on DEVICE, is there after the next boot, too: it is no tmpfs. Of a tmpfs asked once for each device in
// a row, of a disk's never.
bool record_outlives_boot(int fd, dev_t device);

// Reads the record of the open file FD, and its status. Returns 0, or -1 and errno.
int record_read(int fd, struct record *record, struct stat *status);

// Reads the record at PATH without taking a lock; may see one that is just being written. Returns 0, or -1 and errno.
int record_peek(const char *path, struct record *record, struct stat *status);

// Opens the lock file at PATH (ACCESS: O_RDONLY or O_RDWR) to change something of it, and takes its status: only a regular file
// with one link, so nothing is done through what somebody planted. Returns a descriptor, or -1.
int record_open(const char *path, int access, struct stat *status);

// The same to set a hint: for writing if we may, else for reading.
int record_open_to_hint(const char *path, struct stat *status);

// Writes the record of the process with PID and START to FD. STATUS is the file's, before and after that. Without a start
// time, or where the file cannot carry it (it is not ours, or its file system drops nanoseconds), one without stamp.
// Never half a record: with RLIMIT_FSIZE too low the file is left empty, which is no error: the flock alone has to do.
// Sets the sticky bit where it is missing and we may: a peer made the file. Returns 0, or -1 and errno: nothing of use is in the file.
int record_write(int fd, pid_t pid, uint64_t start, struct stat *status);

// The same by a process that ends and leaves the lock to PID: with a second newline, which peers do not see. PID may be ending, too, which
// only shows once this process has gone.
int record_hand_on(int fd, pid_t pid, uint64_t start, struct stat *status);

// For how many nanoseconds more RECORD, in the file of STATUS, may name a process that the lock was left to while it was ending. 0: it does
// not.
uint64_t record_settles_in(const struct record *record, const struct stat *status);

// Closes the record of the deleted file FD, which has STATUS and is not empty: for peers that have it open and do not look whether it
// still is at the path it names a process that always lives. Over what it says now, so that no peer sees it empty.
void record_close(int fd, const struct stat *status);

// Sets HINT, and the sticky bit, on the lock file FD, which had STATUS, if we may. A holder
// of an earlier version, where the sticky bit was the hint of the waiters, is told by it, too. Takes the record lock, for which FD is to be open for writing. Returns
// whether it is set.
bool record_hint(int fd, const struct stat *status, mode_t hint);

// Whether the stamp of RECORD is STAMP, a process' own (process_stamp()): on a disk with the boot's number added, elsewhere with or
// without it.
bool record_has_stamp(const struct record *record, uint32_t stamp);

// Whether the record names a living process.
bool record_is_alive(const struct record *record);

// Whether RECORD, in the file of STATUS, is one that its process itself, this user or root has written: into a file of their own anybody
// can put any PID, and the start time of its process. A bare 1 is not: it is a PID of another PID namespace, and here everybody's ancestor.
// Nor is a record without a stamp whose process began after the file was last written: it is another one by now, with the same PID.
// Users that have no number in this user namespace are nobody's equal.
bool record_is_credible(const struct record *record, const struct stat *status);

// Whether both are one and the same process' word.
bool record_is_same(const struct record *a, const struct record *b);

// Whether the record names the process SELF.
bool record_is_of(const struct record *record, const struct process_self *self);

// Takes the short lock under which records are read and written: an open file description lock, which peers see as
// lockf(3)'s. TYPE is F_WRLCK, or F_RDLCK on a file that is open for reading only. Tries for some 100 ms. A reader that
// never lets go is joined: peers that write take a writer's lock. Returns 0; or -1 and errno EWOULDBLOCK: a
// writer, of which *WRITER is the PID (0: not known), does not let go; or another errno.
int record_lock(int fd, short type, pid_t *writer);
void record_unlock(int fd);

#endif
