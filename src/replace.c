// SPDX-License-Identifier: MIT
#include "replace.h"

#include "fdinfo.h"
#include "keepers.h"
#include "pause.h"
#include "process.h"
#include "procfile.h"
#include "rawcall.h"
#include "record.h"
#include "survey.h"
#include "text.h"
#include "user.h"
#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN_US 1000
// A start that looks at the file has its flock for an instant, too. A process that has it at so many looks keeps it.
#define LOOKS_FOR_KEEPER 5
// How long the launcher may take to get in line before the job is asked to end all the same: where /proc/locks does not tell.
#define IN_LINE_NS UINT64_C(250000000)
// It is in line for an instant, too, when it first tries the lock.
#define LOOKS_IN_LINE 3
// Between two looks at a job that ends, for what it has forked meanwhile.
#define LOOK_AT_JOB_NS UINT64_C(20000000)
// How long killed processes may take to go: they may have much memory.
#define KILLED_NS UINT64_C(10000000000)
// How long a job that has given the lock back may take to end before it is said that it has not.
#define ENDING_NS UINT64_C(500000000)
// A process that moves in that time is not frozen.
#define MOVES_NS UINT64_C(200000000)
#define NS_PER_TICK UINT64_C(10000000)
#define NS_PER_SECOND UINT64_C(1000000000)
// Another start may take the lock, or give it back, between two looks. For so long it is looked again.
#define UNSURE_NS UINT64_C(250000000)

static const char unsure[] = "the lock file does not say without doubt who that is";

// The lock file, and the users that count.
struct target {
	const char *path;
	struct record record;
	struct stat status;
	pid_t holder;		// which the record names; 0: none that lives
	uid_t holder_user;
	pid_t launcher;
	pid_t taker;		// who took the flock that the job keeps, whether it lives or not; 0: not known, or the job has none
	pid_t stranger;		// a process that has the flock, and that may not be ended
	bool holds;		// the job does, before the look: who took the flock by itself is a start whose turn comes when that has ended
	struct budget budget;
	struct job *job;
};

static bool find_user(pid_t pid, uid_t *user)
{
	char path[PROCFILE_PATH];
	struct stat status;

	if (stat(procfile_path(path, pid, ""), &status) == -1)
		return false;
	*user = status.st_uid;
	return true;
}

static struct mapped_file file_of(struct target *target)
{
	return (struct mapped_file){ .device = target->status.st_dev, .inode = target->status.st_ino, .path = target->path, .budget = &target->budget };
}

static bool is_process(pid_t pid, const void *other)
{
	return pid == *(const pid_t *)other;
}

static bool is_ancestor(pid_t pid)
{
	return pid == getpid() || process_find_ancestor(is_process, &pid) != 0;
}

// The bits by which others than the owner may write to the directory of STATUS. A group with its owner's number is that user's alone, on
// distributions whose umask lets groups write.
static mode_t writers(const struct stat *status)
{
	return status->st_gid == 0 || status->st_gid == status->st_uid ? S_IWOTH : S_IWGRP | S_IWOTH;
}

// Whether another user than root, this one and OWNER, whose file is at PATH, may put another file into its place: root's own file of
// another lock, say.
static bool may_be_moved(const char *path, uid_t owner)
{
	char directory[PATH_MAX];
	struct text text = text_in(directory, sizeof(directory));
	struct stat status;

	text_bytes(&text, path, (size_t)(text_basename(path) - path));
	if (stat(directory, &status) == -1)
		return true;
	return (status.st_uid != 0 && !user_is_same(status.st_uid, geteuid()) && !user_is_same(status.st_uid, owner)) ||
	       ((status.st_mode & writers(&status)) && !(status.st_mode & S_ISVTX));
}

// Why the lock file decides about nobody that this process signals; NULL: it does.
static const char *find_doubt(const struct target *target)
{
	if (!S_ISREG(target->status.st_mode) || target->status.st_nlink != 1)
		return "the lock file is not a regular file with one link";
	if (target->status.st_mode & (S_IWGRP | S_IWOTH))
		return "other users may write to the lock file";
	if (may_be_moved(target->path, target->status.st_uid))
		return "other users may exchange files in the lock directory";
	return NULL;
}

// Why the record does not decide that the process that it names is ended; NULL: it does.
static const char *find_doubt_in_record(const struct target *target)
{
	if (target->record.stamp == PROCESS_NO_STAMP)
		return unsure;
	if (!record_is_credible(&target->record, &target->status))
		return "another user wrote that into the lock file (only root, you, and that process' own user are believed)";
	return NULL;
}

static bool is_trusted(const struct target *target)
{
	return target->status.st_uid == 0 || user_is_same(target->status.st_uid, geteuid());
}

// Whether MEMBER may not be ended: the file is a stranger's, and MEMBER is not. Whoever has the holder's user may map the file, and so make
// itself a member; what it has started for another user, by sudo say, does not become one by that.
static bool is_hindered(const struct job_member *member, const void *context)
{
	const struct target *target = context;
	uid_t user;

	if ((is_trusted(target) && !member->weak) || !find_user(member->pid, &user))
		return false;
	return !user_is_same(user, is_trusted(target) ? target->holder_user : target->status.st_uid);
}

// Whether PID, which keeps the flock without being in the record, is of a user who may decide that it is ended. *WEAK: that is the holder's
// alone.
static bool is_credible(const struct target *target, pid_t pid, bool *weak)
{
	uid_t user;

	*weak = false;
	if (!find_user(pid, &user))
		return false;
	if (user_is_same(user, target->status.st_uid))
		return true;
	if (!is_trusted(target))
		return false;
	*weak = user != 0 && !user_is_same(user, geteuid());
	return !*weak || (target->holder != 0 && user_is_same(user, target->holder_user));
}

// Whether PID has the flock by a descriptor, and not just for an instant. While the job HOLDS, one that took it by itself may be a start in its
// turn. Who took it, one and the same text says as that it is there: a start may have it now, and not have had it in the list of locks.
static bool has_flock(pid_t pid, const struct mapped_file *file, bool holds)
{
	enum fdinfo_result result = fdinfo_look(pid, file);

	for (int look = 1; (result == FDINFO_CLOSES || result == FDINFO_TAKEN) && look < LOOKS_FOR_KEEPER; look++) {
		pause_us(LOOK_AGAIN_US);
		result = fdinfo_look(pid, file);
	}
	return result != FDINFO_WITHOUT && result != FDINFO_UNSEEN && !(holds && result == FDINFO_TAKEN);
}

static bool visit_keeper(void *context, pid_t pid)
{
	struct target *target = context;
	const struct mapped_file file = file_of(target);
	bool weak;

	if (pid == target->launcher || pid == getpid() || job_has(target->job, pid))
		return false;
	// What a stranger maps is not kept by that.
	if (is_credible(target, pid, &weak)) {
		if (keepers_maps(pid, &file) || has_flock(pid, &file, target->holds))
			job_add(target->job, pid, weak);
	} else if (has_flock(pid, &file, false)) {
		target->stranger = pid;
	}
	return budget_cuts(&target->budget);
}

static pid_t find_taker(struct target *target)
{
	const struct mapped_file file = file_of(target);

	target->budget = (struct budget){ .end = 0 };
	budget_owe(&target->budget);
	return keepers_find_taker(&file);
}

static void add_keepers(struct target *target)
{
	target->holds = target->job->count > 0;
	target->budget = (struct budget){ .end = 0 };
	target->stranger = 0;
	budget_owe(&target->budget);
	(void)procfile_search("/proc", 0, visit_keeper, target);
}

// One that lives, and is no member, has the flock for itself.
static pid_t find_taker_of_job(struct target *target)
{
	pid_t taker = find_taker(target);

	return taker > 0 && (job_has(target->job, taker) || !process_alive(taker, PROCESS_NO_STAMP)) ? taker : 0;
}

// Whether the record names the process that has its PID just now. Asked once that is a member of the job, so it is not one that gets the PID later.
static bool names_present_owner(const struct record *record)
{
	struct process_stat process;

	return process_read_stat(record->pid, &process) == 0 && record_has_stamp(record, process_stamp(process_start(&process)));
}

// Waits until the launcher has the flock of TARGET's file, or waits for it. If the holder ended before that, a start that comes later could get
// in between.
static void await_in_line(struct target *target)
{
	const struct mapped_file file = { .device = target->status.st_dev, .inode = target->status.st_ino, .path = target->path };
	uint64_t deadline = pause_clock() + IN_LINE_NS;
	int seen = 0;

	while (seen < LOOKS_IN_LINE && pause_clock() < deadline) {
		seen = keepers_is_in_line(&file, target->launcher) ? seen + 1 : 0;
		pause_us(LOOK_AGAIN_US);
	}
}

// Whether the record of NOW, which names no member, is one that the job has left to another process, and not that of a start that has got the
// lock. While the flock is the job's, nobody else has got it. Without a flock the process that leaves the record says so, and the other one
// began after the launcher, or would have been seen.
static bool is_left_by_job(struct target *now)
{
	struct process_stat launcher, process;
	pid_t taker = find_taker(now);

	if (now->taker > 0)
		return taker == now->taker;
	return taker <= 0 && now->record.handed_on && process_read_stat(now->launcher, &launcher) == 0 &&
	       process_read_stat(now->record.pid, &process) == 0 && process.start >= launcher.start && process.parent != now->launcher;
}

// Whether the record, which is left in NOW, is the job's: the same as before, a member's, or one that the job has left to another process.
static bool is_jobs_record(const struct target *target, struct target *now)
{
	*now = *target;
	if (record_peek(now->path, &now->record, &now->status) == -1 || now->status.st_ino != target->status.st_ino)
		return false;
	if (record_is_same(&now->record, &target->record) || job_has(now->job, now->record.pid))
		return true;
	return now->record.pid != now->launcher && record_is_alive(&now->record) && !find_doubt(now) && !find_doubt_in_record(now) &&
	       !is_hindered(&(struct job_member){ .pid = now->record.pid }, now) && !is_ancestor(now->record.pid) && is_left_by_job(now);
}

// A process of the job may hand the record on when it ends, to one that it forked.
static void follow_record(struct target *target)
{
	const size_t count = target->job->count;
	struct target now;

	if (!is_jobs_record(target, &now) || record_is_same(&now.record, &target->record) || job_has(target->job, now.record.pid))
		return;
	job_add(target->job, now.record.pid, false);
	if (!names_present_owner(&now.record))
		target->job->count = count;
}

// A start that was waiting before the launcher may have the lock by now. It writes the record before it maps the file, so a process that was seen
// before the record still is the job's keeps the lock for the job.
static void add_new_keepers(struct target *target)
{
	struct target now;
	size_t count, grown;

	follow_record(target);
	count = target->job->count;
	add_keepers(target);
	grown = target->job->count;
	target->job->count = count;
	if (is_jobs_record(target, &now))
		target->job->count = grown;
}

// Sleeps until a process of the job ends, or for an instant. Returns whether one lives.
static bool await_job(const struct job *job, uint64_t deadline)
{
	uint64_t until = pause_clock() + LOOK_AT_JOB_NS;
	pid_t living = job_find_living(job);

	if (living == 0)
		return false;
	(void)watch_process(living, until < deadline ? until : deadline);
	return true;
}

// Asks the job to end, and kills what is left of it after GRACE_NS. A process that was forked meanwhile, to tidy up, is not asked.
static _Noreturn void end_job(struct target *target, uint64_t grace_ns)
{
	uint64_t deadline;

	// A launcher that is ended while it waits asks for nothing more.
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != target->launcher)
		_exit(EXIT_SUCCESS);
	await_in_line(target);
	job_ask(target->job);
	deadline = pause_clock() + grace_ns;
	while (await_job(target->job, deadline) && pause_clock() < deadline) {
		job_grow(target->job);
		follow_record(target);
	}
	deadline = pause_clock() + KILLED_NS;
	while (job_find_living(target->job) != 0 && pause_clock() < deadline) {
		add_new_keepers(target);
		job_kill(target->job, is_hindered, target);
		(void)await_job(target->job, deadline);
	}
	_exit(EXIT_SUCCESS);
}

// Everything that the start needs is there before the first signal.
static const char *ask(struct target *target, uint64_t grace_ns, struct replacement *replacement)
{
	pid_t hindered = job_find_hindered(target->job, is_hindered, target);
	pid_t stuck = hindered == 0 ? job_find_stuck(target->job, pause_clock() + (grace_ns > MOVES_NS ? grace_ns : MOVES_NS)) : 0;

	if (hindered != 0 || stuck != 0)
		replacement->holder = hindered != 0 ? hindered : stuck;
	if (hindered != 0)
		return "it may not be asked to end";
	if (stuck != 0)
		return "it does not run, so it could not end: frozen, or waiting for a disk or a server";
	if (target->job->full)
		return "it has too many processes";
	// Its end sends no signal: with SIGCHLD ignored, as the command may want it, the kernel would not tell how it ended.
	replacement->killer = (pid_t)rawcall(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (replacement->killer == 0)
		end_job(target, grace_ns);
	if (replacement->killer > 0)
		replacement->job = target->job;
	return replacement->killer < 0 ? "there is no process to be had that would end it after SECONDS" : NULL;
}

static uint64_t since(clockid_t id, uint64_t time)
{
	struct timespec now;
	uint64_t clock = clock_gettime(id, &now) == 0 ? (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec : 0;

	return clock > time ? clock - time : 0;
}

// For how long PID, the holder, has run. One that took the lock by itself may have waited before that, as a launcher: its record tells since when
// it has it. One that others have recorded, a daemon, may have it for longer than the record says. 0: it is not known.
static uint64_t find_age(const struct target *target, pid_t pid)
{
	struct process_stat status;
	uint64_t age, recorded;

	if (process_read_stat(pid, &status) == -1)
		return 0;
	age = since(CLOCK_BOOTTIME, status.start * NS_PER_TICK);
	if (pid != target->holder || (target->taker > 0 && target->taker != pid))
		return age;
	recorded = since(CLOCK_REALTIME, (uint64_t)target->status.st_mtim.tv_sec * NS_PER_SECOND);
	return recorded < age ? recorded : age;
}

// Puts the holder and all others that keep the lock into the job. Returns why it does not; NULL: it does, or there is none.
static const char *find_job(struct target *target, struct replacement *replacement)
{
	const char *doubt = find_doubt(target);

	if (!doubt && record_is_alive(&target->record)) {
		doubt = find_doubt_in_record(target);
		replacement->holder = target->holder = target->record.pid;
		replacement->recorded = true;
	}
	if (doubt)
		return doubt;
	if (target->holder != 0) {
		job_add(target->job, target->holder, false);
		// It has ended, and its PID may be another process' by now.
		if (!names_present_owner(&target->record) || !find_user(target->holder, &target->holder_user)) {
			target->job->count = 0;
			return NULL;
		}
		job_grow(target->job);
	}
	add_keepers(target);
	if (target->stranger != 0) {
		replacement->holder = target->stranger;
		return "that is another user's process, which the lock file does not name";
	}
	if (target->holder == 0 && target->job->count > 0)
		replacement->holder = target->job->members[0].pid;
	job_grow(target->job);
	target->taker = find_taker_of_job(target);
	return target->job->count == 0 ? unsure : NULL;
}

static bool has_ancestor(const struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (is_ancestor(job->members[i].pid))
			return true;
	return false;
}

static int ask_once(const struct replace_request *request, struct job *job, struct replacement *replacement, const char **why)
{
	struct survey survey = survey_look(request->path);
	struct target target = { .path = request->path, .launcher = getpid(), .job = job };

	job->count = 0;
	job->full = false;
	*replacement = (struct replacement){ .holder = survey.pid };
	// Nobody, or one that has given the lock back and is not quite gone: the start waits for that by itself.
	if (!survey_is_held(survey.state) || survey.state == SURVEY_ENDING) {
		replacement->waits = survey.state == SURVEY_ENDING;
		return 0;
	}
	*why = unsure;
	if (survey.pid <= 0 || record_peek(target.path, &target.record, &target.status) == -1)
		return -1;
	*why = find_job(&target, replacement);
	// It has ended by itself; or it is not to be ended, and the start is refused by it, or passes.
	if (!*why && (job_find_living(target.job) == 0 || has_ancestor(target.job) ||
		      (request->min_age_ns > 0 && find_age(&target, replacement->holder) < request->min_age_ns))) {
		replacement->holder = 0;
		return 0;
	}
	if (!*why)
		*why = ask(&target, request->grace_ns, replacement);
	return *why ? -1 : 0;
}

int replace_ask(const struct replace_request *request, struct replacement *replacement, const char **why)
{
	struct job *job = job_make();
	uint64_t deadline = pause_clock() + UNSURE_NS;
	int result;

	*replacement = (struct replacement){ .holder = 0 };
	*why = "there is no memory";
	if (!job)
		return -1;
	while ((result = ask_once(request, job, replacement, why)) == -1 && *why == unsure && pause_clock() < deadline)
		pause_us(LOOK_AGAIN_US);
	return result;
}

static pid_t find_rest(struct replacement *replacement)
{
	int status;

	while (waitpid(replacement->killer, &status, __WALL) == -1 && errno == EINTR)
		;
	replacement->killer = 0;
	return job_find_living(replacement->job);
}

pid_t replace_finish(struct replacement *replacement)
{
	return find_rest(replacement);
}

pid_t replace_stop(struct replacement *replacement)
{
	uint64_t deadline = pause_clock() + ENDING_NS;

	while (replacement->job->asked && await_job(replacement->job, deadline) && pause_clock() < deadline)
		;
	// SIGTERM may be ignored.
	(void)kill(replacement->killer, SIGKILL);
	return find_rest(replacement);
}
