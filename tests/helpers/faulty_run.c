// SPDX-License-Identifier: MIT
// One run and its judgement. Whatever failed, the program under test is exclusive and runs; is refused; ends with 125; or runs
// with its warning. Afterwards the next start gets in.
#define _GNU_SOURCE
#include "faulty.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOKS = 10000, LOOK_AGAIN_US = 200 };

static void wrong(struct run *run, const char *what)
{
	if (!run->wrong)
		run->wrong = what;
}

static const char *read_words(int fd, char words[4096])
{
	ssize_t length = pread(fd, words, 4095, 0);

	words[length < 0 ? 0 : length] = '\0';
	return words;
}

static bool has_warned(const struct run *run)
{
	char words[4096];

	return strstr(read_words(run->err, words), "running unguarded") != NULL;
}

static bool is_kill(enum fault_kind kind)
{
	return kind == FAULT_KILL || kind == FAULT_KILL_AFTER || kind == FAULT_KILL_RIVAL;
}

// A sandbox without sockets does not see a predecessor that has let go and is not quite gone: a known limit.
static bool is_blind(const struct run *run)
{
	const struct fault *fault = &run->trace->fault;

	return run->situation->holder == HOLDER_DYING && fault->kind == FAULT_ERROR &&
	       (fault->number == SYS_socket || fault->number == SYS_connect) &&
	       (fault->value == EACCES || fault->value == EPERM || fault->value == ENOSYS || fault->value == EAFNOSUPPORT);
}

static bool may_run_beside_others(const struct run *run)
{
	return is_blind(run) || run->board->flagged || has_warned(run);
}

static void assert_refused(struct run *run, const char *what)
{
	start_as(run, ROLE_RIVAL, &run->rival);
	if (start_await(&run->rival) != REFUSED || run->board->rival_entered)
		wrong(run, what);
}

static void assert_free(struct run *run)
{
	char words[4096];

	run->board->overlaps = 0;
	start_as(run, ROLE_RIVAL, &run->rival);
	if (start_await(&run->rival) != RAN || !run->board->rival_entered)
		wrong(run, "afterwards nobody gets in");
	else if (run->board->overlaps)
		wrong(run, "afterwards somebody is still inside");
	else if (*read_words(run->rival_err, words))
		wrong(run, "the next start says something");
}

static void in_main(struct run *run)
{
	const struct trace *trace = run->trace;

	if (trace->fault.kind != FAULT_NONE && !trace->met && !run->situation->waiter)
		return;
	if (run->situation->waiter) {
		start_as(run, ROLE_WAITING_RIVAL, &run->rival);
		start_settle(&run->rival, &run->board->rival_entered);
		if (run->board->rival_entered && !may_run_beside_others(run))
			wrong(run, "in main, and a waiting one is, too");
	} else if (!may_run_beside_others(run) && trace->fault.kind != FAULT_STALL)
		assert_refused(run, "in main, and another one is, too");
}

// All exit handlers have run, but the process is not gone: the name is not free.
static void leaving(struct run *run)
{
	const struct trace *trace = run->trace;

	if (run->rival.pid && run->board->rival_entered && !may_run_beside_others(run))
		wrong(run, "another one is in main before this one is gone");
	if (run->rival.pid || may_run_beside_others(run) ||
	    (trace->fault.kind != FAULT_NONE && !trace->met_after_main && !(trace->met && trace->fault.lasting)))
		return;
	start_as(run, ROLE_RIVAL, &run->rival);
	start_settle(&run->rival, &run->board->rival_entered);
	if (run->board->rival_entered)
		wrong(run, "another one is in main before this one is gone");
}

static void let_holder_end(struct run *run)
{
	if (run->holder.pid && run->holder.input != -1)
		close(run->holder.input);
	run->holder.input = -1;
	if (run->dying_output != -1)
		close(run->dying_output);
	run->dying_output = -1;
}

static void on_event(struct trace *trace, enum trace_event event)
{
	struct run *run = trace->context;

	if (event == TRACE_MAIN) {
		in_main(run);
	} else if (event == TRACE_LEAVING) {
		leaving(run);
	} else if (event == TRACE_WAITING && run->situation->gets_turn) {
		let_holder_end(run);
	} else if (event == TRACE_STALL) {
		start_as(run, trace->fault.kind == FAULT_STALL ? ROLE_RIVAL : ROLE_WAITING_RIVAL, &run->rival);
		start_settle(&run->rival, &run->board->rival_entered);
	}
}

static void start_holder(struct run *run)
{
	const int none = 0;
	char record[24];

	if (run->situation->holder == HOLDER_NONE)
		return;
	start_as(run, ROLE_HOLDER, &run->holder);
	while (run->board->entered == 0) {
		start_settle(&run->holder, &run->board->entered);
		if (waitpid(run->holder.pid, NULL, WNOHANG) != 0) {
			wrong(run, "the holder does not start");
			run->holder.pid = 0;
			return;
		}
	}
	start_settle(&run->holder, &none);
	run->board->entered = 0;
	if (run->situation->holder == HOLDER_DAEMON) {
		start_write_record(run, "4194303\n");
	} else if (run->situation->holder == HOLDER_DYING) {
		close(run->holder.input);
		run->holder.input = -1;
		for (int look = 0; look < LOOKS && start_has_file(run); look++)
			usleep(LOOK_AGAIN_US);
	} else if (run->situation->holder == HOLDER_PEER) {
		snprintf(record, sizeof record, "%d", run->holder.pid);
		start_write_record(run, record);
	}
}

// The program under test has reached main, and was not killed.
static void judge_run(struct run *run, int status)
{
	char words[4096];

	if (run->situation->holder != HOLDER_NONE && !run->situation->gets_turn && !may_run_beside_others(run))
		wrong(run, "runs beside the holder");
	if (status != RAN)
		wrong(run, "its exit status is another");
	if (strcmp(read_words(run->out, words), "out\n") != 0)
		wrong(run, "its output is another");
	if (run->situation->descendant && *read_words(run->err, words))
		wrong(run, "a descendant says something");
}

static void judge_end(struct run *run, int status)
{
	const struct fault *fault = &run->trace->fault;
	bool is_mute = fault->kind != FAULT_NONE && fault->number == SYS_write;
	char words[4096];

	read_words(run->err, words);
	if (run->situation->descendant && !fault->lasting)
		wrong(run, "a descendant does not run");
	else if (status == REFUSED && !is_mute && !strstr(words, "Another '"))
		wrong(run, "refused without a word");
	else if (status == 125 && !is_mute && !strstr(words, "exlock"))
		wrong(run, "an error without a word");
	else if ((status == 126 || status == 127) && (run->situation->start == START_PRELOAD || !strstr(words, "exlock-launch: ")))
		wrong(run, "cannot be run, without a word");
	else if (status != REFUSED && status != 125 && status != 126 && status != 127)
		wrong(run, "does not run, with a status of its own");
}

static void judge(struct run *run)
{
	const struct trace *trace = run->trace;
	int status = WIFEXITED(trace->status) ? WEXITSTATUS(trace->status) : -1;

	if (run->board->overlaps && !may_run_beside_others(run))
		wrong(run, "two are in main at once");
	if (WIFSIGNALED(trace->status) && !(trace->met && is_kill(trace->fault.kind) && WTERMSIG(trace->status) == SIGKILL))
		wrong(run, "it crashes");
	else if (WIFSIGNALED(trace->status))
		return;
	else if (run->board->entered)
		judge_run(run, status);
	else
		judge_end(run, status);
}

static void let_child_end(struct run *run)
{
	if (run->subject.input != -1)
		close(run->subject.input);
	run->subject.input = -1;
}

static void judge_rival(struct run *run)
{
	enum fault_kind kind = run->trace->fault.kind;
	int status;

	if (!run->rival.pid)
		return;
	// A child that it has left behind holds on.
	if (is_kill(kind))
		let_child_end(run);
	status = start_await(&run->rival);
	if (status != RAN && status != REFUSED)
		wrong(run, "the other one ends in another way");
	else if ((kind == FAULT_KILL_RIVAL || run->situation->waiter) && status != RAN)
		wrong(run, "the waiting one does not get in");
	else if (kind == FAULT_STALL && status != RAN && !run->board->entered)
		wrong(run, "the lock is free, and none of two gets in");
	if (run->board->overlaps && !may_run_beside_others(run))
		wrong(run, "two are in main at once");
}

static void end_all(struct run *run)
{
	int status;

	// What the program under test has left behind: a child that holds on by the flock.
	let_child_end(run);
	if (run->trace->process && waitpid(run->subject.pid, &status, WNOHANG) == 0)
		(void)trace_reap(run->subject.pid, &status);
	if (run->holder.pid) {
		if (run->holder.input != -1 && !run->situation->gets_turn && !may_run_beside_others(run))
			assert_refused(run, "the holder has lost its lock");
		let_holder_end(run);
		(void)start_await(&run->holder);
	}
	while (waitpid(-1, &status, 0) > 0 || errno == EINTR)
		;
}

const char *run_once(struct run *run, char words[4096])
{
	run->wrong = NULL;
	run->dying_output = -1;
	run->trace->on = on_event;
	run->trace->context = run;
	trace_hurry(true);
	start_clear(run);
	start_holder(run);
	start_as(run, ROLE_SUBJECT, &run->subject);
	if (!trace_follow(run->trace, run->subject.pid))
		wrong(run, "it does not end");
	else if (!run->trace->pid)
		wrong(run, "it does not fork");
	judge(run);
	judge_rival(run);
	if (strcmp(run->situation->action, "leave") == 0 && !is_kill(run->trace->fault.kind) && run->board->entered && !has_warned(run))
		assert_refused(run, "its child has lost the lock");
	end_all(run);
	assert_free(run);
	read_words(run->err, words);
	trace_hurry(false);
	return run->wrong;
}
