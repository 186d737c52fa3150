// SPDX-License-Identifier: MIT
#include "openers.h"

#include "fdinfo.h"
#include "process.h"
#include "procfile.h"
#include "rawcall.h"
#include "relatives.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's include/uapi/linux/kcmp.h.
#define KCMP_FILES 2
#define PATH_SIZE 80
#define LINK_SIZE 1024
#define FILES_BETWEEN 64

struct search {
	const struct mapped_file *file;
	const uid_t *owner;	// NULL: everybody's, and what they map
	char folder[PROCFILE_PATH];	// "/proc/PID" or "/proc/PID/task/THREAD"
	pid_t pid, found;
	unsigned files;
	bool unseen, cut;
	bool saw_first;		// process 1 has been looked at
	uint64_t before;	// processes with larger numbers alone
};

// FOLDER's NAME, and NUMBER behind it.
static const char *path_of(char path[PATH_SIZE], const struct search *search, const char *name, pid_t number)
{
	struct text text = text_in(path, PATH_SIZE);

	text_add(&text, search->folder);
	text_add(&text, name);
	text_number(&text, (uint64_t)number);
	return path;
}

static bool visit_descriptor(void *context, pid_t descriptor)
{
	struct search *search = context;
	char path[PATH_SIZE], text[LINK_SIZE];
	ssize_t length = readlinkat(AT_FDCWD, path_of(path, search, "/fd/", descriptor), text, sizeof(text));
	struct stat status;

	if (length == -1)
		search->unseen = search->unseen || (errno != ENOENT && errno != ESRCH);
	else if (length == sizeof(text))
		search->unseen = true;
	else if (fdinfo_has_name(text, (size_t)length, search->file->path) &&
		 (fstatat(AT_FDCWD, path, &status, 0) == -1 ? errno != ENOENT && errno != ESRCH :
		  status.st_dev == search->file->device && status.st_ino == search->file->inode))
		search->found = search->pid;	// not one that has just closed a file of that name
	search->cut = ++search->files % FILES_BETWEEN == 0 && budget_cuts(search->file->budget);
	return search->found != 0 || search->cut;
}

static void look_at_files(struct search *search)
{
	char path[PROCFILE_PATH + 8];
	struct text text = text_in(path, sizeof(path));

	text_add(&text, search->folder);
	text_add(&text, "/fd");
	if (procfile_search(path, 0, visit_descriptor, search) == -1 && errno != ENOENT && errno != ESRCH)
		search->unseen = true;
}

// Threads may have descriptors of their own, and a process whose first thread has ended has its memory in the others.
static bool visit_thread(void *context, pid_t thread)
{
	struct search *search = context;
	struct text text = text_in(search->folder, sizeof(search->folder));

	if (thread == search->pid || rawcall(SYS_kcmp, search->pid, thread, KCMP_FILES, 0, 0, 0) == 0)
		return false;
	text_add(&text, "/proc/");
	text_number(&text, (uint64_t)search->pid);
	text_add(&text, "/task/");
	text_number(&text, (uint64_t)thread);
	look_at_files(search);
	return search->found != 0 || search->cut;
}

static void look_at_memory(struct search *search)
{
	enum mappings mappings = keepers_look(search->pid, search->file);
	struct process_stat status;

	if (mappings == MAPPINGS_WITH)
		search->found = search->pid;
	search->unseen = search->unseen || mappings == MAPPINGS_UNSEEN;
	// A first thread that has ended shows no memory, and the others have it.
	if (process_read_stat(search->pid, &status) == 0 && status.threads > 1) {
		search->unseen = search->unseen || status.state == 'Z';
		(void)procfile_search_threads(search->pid, visit_thread, search);
	}
}

static bool visit_process(void *context, pid_t pid)
{
	struct search *search = context;
	struct stat status;

	(void)procfile_path(search->folder, pid, "");
	if ((uint64_t)pid <= search->before || pid == getpid() || (search->owner && (fstatat(AT_FDCWD, search->folder, &status, 0) == -1 || status.st_uid != *search->owner)))
		return false;
	search->pid = pid;
	look_at_files(search);
	if (!search->owner && search->found == 0 && !search->cut)
		look_at_memory(search);
	// The first process began before every holder, so none has forked it. In some virtual machines not even root may look at it.
	if (pid == 1 && search->found == 0) {
		search->saw_first = true;
		search->unseen = false;
	}
	search->cut = search->cut || budget_cuts(search->file->budget);
	return search->found != 0 || search->cut || (search->unseen && !search->owner);
}

static enum openers look(struct search *search, pid_t *pid)
{
	if (process_proc_is_foreign() || procfile_search("/proc", (pid_t)search->before, visit_process, search) == -1)
		search->unseen = true;
	*pid = search->found;
	if (search->found != 0)
		return OPENERS_SEEN;
	if (search->cut)
		return OPENERS_CUT;
	return search->unseen ? OPENERS_UNSEEN : OPENERS_NONE;
}

enum openers openers_of_user(const struct mapped_file *file, uid_t owner, pid_t *pid)
{
	struct search search = { .file = file, .owner = &owner };
	enum openers openers = look(&search, pid);

	return openers == OPENERS_NONE && !process_sees_all() ? OPENERS_UNSEEN : openers;
}

enum openers openers_of_all(const struct mapped_file *file, pid_t *pid)
{
	struct search search = { .file = file };
	uint64_t before, after = 0;
	enum openers openers;

	*pid = 0;
	if (!process_sees_all() || !relatives_last_number(&before))
		return OPENERS_UNSEEN;
	openers = look(&search, pid);
	if (openers != OPENERS_NONE || !search.saw_first || !relatives_last_number(&after))
		return openers == OPENERS_NONE ? OPENERS_UNSEEN : openers;
	// Numbers are given in order: those of who was born meanwhile are larger, or the kernel has begun again behind the largest.
	search.before = after < before ? 0 : before;
	return look(&search, pid);
}
