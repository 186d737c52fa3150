// SPDX-License-Identifier: MIT
#include "pinned.h"

#include "openers.h"
#include "process.h"
#include "record.h"

#include <unistd.h>

bool pinned_look(struct pinned *pinned, const struct mapped_file *file)
{
	pid_t keeper;

	if (pinned->looks++ == 0)
		budget_owe(file->budget);
	pinned->taker = keepers_find_taker(file);
	// A taker that lives may be flock(1), which opens the file again and again, and had it closed at the look.
	if (pinned->taker == 0 || (pinned->taker > 0 && process_alive(pinned->taker, PROCESS_NO_STAMP)))
		return false;
	return openers_of_all(file, &keeper) == OPENERS_NONE;
}

// An empty record is nobody's: the next start takes it.
static void take_back(int fd, const struct process_self *self)
{
	struct record record;
	struct stat status;
	pid_t writer;

	if (record_lock(fd, F_WRLCK, &writer) == -1)
		return;
	if (record_read(fd, &record, &status) == 0 && record.pid == self->pid)
		(void)ftruncate(fd, 0);
	record_unlock(fd);
}

// Whoever has the flock, and has not the record, has the file open. Where there are too many locks to see who has it, that tells.
static bool is_still_alone(const struct pinned *pinned, const struct mapped_file *file)
{
	pid_t taker = keepers_find_taker(file), keeper;

	if (taker > 0 && pinned->taker > 0)
		return taker == pinned->taker;
	return (taker == -1 || pinned->taker == -1) && openers_of_all(file, &keeper) == OPENERS_NONE;
}

enum claim_result pinned_take(const struct pinned *pinned, const struct mapped_file *file, const struct process_self *self,
			      struct claim *claim)
{
	enum claim_result result = CLAIM_AGAIN;
	struct stat status;

	*claim = (struct claim){ .fd = record_open(file->path, O_RDWR, &status), .writable = true };
	claim->held = claim->fd;
	if (claim->fd == -1)
		return CLAIM_BUSY;
	claim_move_up(claim);
	if (status.st_dev == file->device && status.st_ino == file->inode)
		result = claim_judge(file->path, self, 0, file->budget, claim);
	if (result == CLAIM_TAKEN && !is_still_alone(pinned, file)) {
		take_back(claim->fd, self);
		result = CLAIM_AGAIN;
	}
	if (result != CLAIM_TAKEN)
		claim_close(claim);
	return result;
}
