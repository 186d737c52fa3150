// SPDX-License-Identifier: MIT
#include "localhold.h"

#include "config.h"
#include "descriptor.h"
#include "hold.h"
#include "offspring.h"
#include "pause.h"
#include "record.h"
#include "survey.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// A contender has the flock for an instant.
#define TRIES 50
#define TRY_AGAIN_US 1000

bool localhold_resume(struct localhold *hold)
{
	const char *path = getenv(CONFIG_PREFIX "LOCKFILE");
	struct lockfile_outcome outcome;

	*hold = (struct localhold){ .lock = { .path = path, .self = process_self(), .descriptor = -1 } };
	if (!path || !mark_parse(getenv(CONFIG_PREFIX "INSTANCE"), &hold->mark) || hold->mark.pid != hold->lock.self.pid)
		return false;
	hold->lock.keep_descriptor = (hold->mark.lock.flags & (MARK_TREE | MARK_STAYS)) != 0;
	if (hold->mark.lock.number >= 0)
		return lockfile_adopt(&hold->lock, &hold->mark);
	return lockfile_try(&hold->lock, false, &outcome) == LOCKFILE_TAKEN && hold->lock.resumed;
}

// An own descriptor in a tree may be on a file that another user left behind, and that only it may write to.
static int write_record(const struct localhold *hold, const struct process_self *self)
{
	struct stat status;
	int fd = record_open(hold->lock.path, O_RDWR, &status);
	pid_t writer;
	int result = -1, error;

	if (fd == -1)
		return hold->mark.lock.number >= 0 ? 0 : -1;
	errno = ESTALE;
	if (status.st_dev == hold->lock.device && status.st_ino == hold->lock.inode && record_lock(fd, F_WRLCK, &writer) == 0) {
		result = record_write(fd, self->pid, self->start, &status);
		record_unlock(fd);
	}
	error = errno;
	(void)close(fd);
	errno = error;
	return result;
}

int localhold_take_over(struct localhold *hold)
{
	const struct process_self self = process_self();
	char instance[MARK_MAX], pid[TEXT_NUMBER_MAX];

	if (write_record(hold, &self) == -1)
		return -1;
	hold->lock.self = self;
	hold->mark.pid = self.pid;
	hold->mark.start = self.start;
	hold->mark.session = self.session;
	hold->mark.space = self.space;
	// By that the command's library knows that it is its own.
	if (hold->mark.lock.number >= 0)
		(void)fcntl(hold->mark.lock.number, F_SETOWN, self.pid);
	mark_write(&hold->mark, instance);
	(void)snprintf(pid, sizeof(pid), "%ld", (long)self.pid);
	return setenv(CONFIG_PREFIX "INSTANCE", instance, 1) == -1 || setenv(CONFIG_PREFIX "PID", pid, 1) == -1 ? -1 : 0;
}

// Whether FD has got the flock. It is let go first: who waits for it is to find this process by it, not the keeper, which has taken it.
static bool move_flock(struct localhold *hold, int fd)
{
	hold_end(&hold->lock);
	for (int tries = 0; tries < TRIES; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		pause_us(TRY_AGAIN_US);
	}
	return false;
}

void localhold_hand_over(struct localhold *hold)
{
	struct stat status;
	char instance[MARK_MAX];
	int fd = hold->mark.lock.number < 0 ? record_open(hold->lock.path, O_RDONLY, &status) : -1;
	int copy = fd == -1 ? -1 : descriptor_copy_high(fd, true);

	if (fd != -1)
		(void)close(fd);
	if (copy == -1)
		return;
	if (status.st_dev != hold->lock.device || status.st_ino != hold->lock.inode || !move_flock(hold, copy)) {
		(void)close(copy);
		return;
	}
	(void)fcntl(copy, F_SETOWN, hold->lock.self.pid);
	hold->mark.lock = (struct mark_descriptor){ copy, hold->lock.layered ? MARK_LAYERED : 0, status.st_dev, status.st_ino };
	mark_write(&hold->mark, instance);
	(void)setenv(CONFIG_PREFIX "INSTANCE", instance, 1);
}

void localhold_part(struct localhold *hold, bool all)
{
	if (all || !hold->lock.keep_descriptor)
		hold_end(&hold->lock);
}

void localhold_leave(struct localhold *hold)
{
	(void)lockfile_leave(&hold->lock);
}

void localhold_release(struct localhold *hold)
{
	(void)lockfile_release(&hold->lock);
}

bool localhold_is_inherited(const struct localhold *hold)
{
	struct survey survey = survey_look(hold->lock.path);

	return survey_is_held(survey.state) && survey.pid > 0 && survey.pid != getpid() && offspring_has(survey.pid);
}
