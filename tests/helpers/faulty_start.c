// SPDX-License-Identifier: MIT
// Starts the program under test, and those beside it.
#define _GNU_SOURCE
#include "faulty.h"
#include "words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ORDINARY_USER = 65534, LOOKS_ASLEEP = 5, LOOKS = 10000, LOOK_AGAIN_US = 200 };

static void give_up(const char *what)
{
	fprintf(stderr, "faulty: %s: %s\n", what, strerror(errno));
	_exit(BROKEN);
}

static int open_at(const struct place *place, const char *name)
{
	char path[PATHS_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/%s", place->folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0)
		give_up(path);
	return fd;
}

void start_prepare(struct run *run)
{
	char path[PATHS_MAX];
	int board = open_at(run->place, "board");

	if (ftruncate(board, sizeof *run->board) < 0)
		give_up("board");
	run->board = mmap(NULL, sizeof *run->board, PROT_READ | PROT_WRITE, MAP_SHARED, board, 0);
	if (run->board == MAP_FAILED)
		give_up("board");
	close(board);
	close(open_at(run->place, "inside"));
	run->out = open_at(run->place, "out");
	run->err = open_at(run->place, "err");
	run->rival_err = open_at(run->place, "rival");
	snprintf(path, sizeof path, "%s/locks", run->place->folder);
	if ((mkdir(path, 0755) < 0 && errno != EEXIST) || chmod(path, 01777) < 0)
		give_up(path);
}

bool start_has_file(const struct run *run)
{
	char path[PATHS_MAX];

	snprintf(path, sizeof path, "%s/locks/" LOCK_FILE("job"), run->place->folder);
	return access(path, F_OK) == 0;
}

void start_write_record(struct run *run, const char *text)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1700000000, .tv_nsec = 12345 } };
	char path[PATHS_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/locks/" LOCK_FILE("job"), run->place->folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0644);
	if (fd < 0 || dprintf(fd, "%s", text) < 0 || futimens(fd, times) < 0)
		give_up(path);
	close(fd);
}

static void empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (!folder)
		give_up(path);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' && unlinkat(dirfd(folder), entry->d_name, 0) < 0)
			give_up(entry->d_name);
	closedir(folder);
}

static pid_t dead_process(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		give_up("fork");
	return child;
}

void start_clear(struct run *run)
{
	char path[PATHS_MAX], record[24];

	snprintf(path, sizeof path, "%s/locks", run->place->folder);
	empty_folder(path);
	if (run->situation->file == FILE_STALE || run->situation->file == FILE_FOREIGN) {
		snprintf(record, sizeof record, "%d\n", dead_process());
		start_write_record(run, record);
	}
	*run->board = (struct board){ 0 };
	if (ftruncate(run->out, 0) < 0 || ftruncate(run->err, 0) < 0)
		give_up("ftruncate");
}

// All of this is done in the new process.

static void set(const char *name, const char *value, const char *more)
{
	char text[2 * PATHS_MAX];

	snprintf(text, sizeof text, "%s%s", value, more);
	setenv(name, text, 1);
}

static void set_environment(const struct run *run, enum role role)
{
	const struct situation *situation = run->situation;
	char name[2 * PATHS_MAX];

	clearenv();
	set("EXCLUSIVELOCK_DIR", run->place->folder, "/locks");
	snprintf(name, sizeof name, "%s %s %s", run->place->subject, run->place->folder, situation->action);
	if (!situation->derived || role != ROLE_SUBJECT)
		set("EXCLUSIVELOCK_NAME", situation->derived ? name : "job", "");
	snprintf(name, sizeof name, "%d", REFUSED);
	set("EXCLUSIVELOCK_EXIT_CODE", name, "");
	if (role == ROLE_WAITING_RIVAL) {
		set("EXCLUSIVELOCK_ON_HELD", "wait", "");
		set("EXCLUSIVELOCK_TIMEOUT", "25", "");
	}
	for (int i = 0; role == ROLE_SUBJECT && i < 4 && situation->environment[i][0]; i++)
		set(situation->environment[i][0], situation->environment[i][1], "");
	if (role == ROLE_SUBJECT && situation->logs)
		set("EXCLUSIVELOCK_LOG", run->place->folder, "/log");
}

static void become_user(const struct run *run)
{
	if (run->situation->file == FILE_FOREIGN &&
	    (setgroups(0, NULL) < 0 || setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) < 0 ||
	     setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) < 0))
		_exit(BROKEN);
}

static void execute(const struct run *run, enum role role)
{
	static const char *const actions[] = { NULL, "hold", "rival", "rival" };
	const struct situation *situation = run->situation;
	const struct place *place = run->place;
	const char *action = role == ROLE_SUBJECT ? situation->action : actions[role];
	bool bare = (role == ROLE_SUBJECT && situation->start == START_HOP_BARE) ||
		    (role == ROLE_HOLDER && situation->holder == HOLDER_RECORD);
	char shim[PATHS_MAX];

	set_environment(run, role);
	snprintf(shim, sizeof shim, "--shim=%s", place->shim);
	if (bare)
		execl(place->hop, place->hop, shim, "--keeper=", "--no-preload", "--", place->subject, place->folder, action,
		      (char *)NULL);
	else if (role == ROLE_SUBJECT && situation->start == START_HOP)
		execl(place->hop, place->hop, shim, "--keeper=", "--", place->subject, place->folder, action, (char *)NULL);
	if (role != ROLE_HOLDER || situation->holder != HOLDER_PEER)
		set("LD_PRELOAD", place->shim, "");
	execl(place->subject, place->subject, place->folder, action, (char *)NULL);
	_exit(BROKEN);
}

// A pipe that is full: who writes there at its very end will not be gone before somebody reads.
static int open_full_pipe(struct run *run)
{
	char bytes[4096] = "";
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		give_up("pipe");
	while (write(ends[1], bytes, sizeof bytes) > 0)
		;
	(void)fcntl(ends[1], F_SETFL, 0);
	run->dying_output = ends[0];
	return ends[1];
}

void start_as(struct run *run, enum role role, struct started *started)
{
	bool dying = role == ROLE_HOLDER && run->situation->holder == HOLDER_DYING;
	int out = role == ROLE_SUBJECT ? run->out : dying ? open_full_pipe(run) : run->rival_err;
	int err = role == ROLE_SUBJECT ? run->err : run->rival_err;
	int ends[2];

	if (role == ROLE_RIVAL || role == ROLE_WAITING_RIVAL)
		run->board->rival_entered = 0;
	if ((role != ROLE_SUBJECT && ftruncate(run->rival_err, 0) < 0) || pipe2(ends, O_CLOEXEC) < 0)
		give_up("start");
	started->pid = fork();
	if (started->pid < 0)
		give_up("fork");
	if (started->pid == 0) {
		if (dup2(ends[0], 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
			_exit(BROKEN);
		if (role == ROLE_SUBJECT && run->situation->no_input)
			close(0);
		become_user(run);
		if (role == ROLE_SUBJECT)
			trace_me();
		execute(run, role);
	}
	close(ends[0]);
	if (dying)
		close(out);
	started->input = ends[1];
}

int start_await(struct started *started)
{
	pid_t pid = started->pid;

	if (pid == 0)
		return -1;
	started->pid = 0;
	if (started->input != -1)
		close(started->input);
	if (!trace_reap(pid, &started->status) || !WIFEXITED(started->status))
		return -1;
	return WEXITSTATUS(started->status);
}

static char state_of(pid_t pid)
{
	char path[40], text[400] = "";
	const char *end;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 'X';
	if (read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	close(fd);
	end = strrchr(text, ')');
	return (char)(end && end[1] ? end[2] : 'X');
}

void start_settle(struct started *started, const volatile int *entered)
{
	for (int look = 0, asleep = 0; look < LOOKS && asleep < LOOKS_ASLEEP && *entered == 0; look++) {
		char state = state_of(started->pid);

		if (state == 'X' || state == 'Z')
			return;
		asleep = state == 'S' ? asleep + 1 : 0;
		usleep(LOOK_AGAIN_US);
	}
}
