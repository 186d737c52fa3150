// SPDX-License-Identifier: MIT
// The keeper: what the launcher becomes in the command's place where the lock is a cluster's. It is the command's parent, takes the
// cluster's lock for it, renews the lease while it runs, and lets it not live longer than that.
//
//	exlock-keeper --file=FILE [--shim=LIBRARY] [--preload=LIST] [--deadline=NANOSECONDS] [--close] -- COMMAND [ARG...]
//
// All else is in the environment.
#include "keeper.h"

#include "become.h"
#include "clusterlock.h"
#include "clustermark.h"
#include "clustervalue.h"
#include "command.h"
#include "keeperio.h"
#include "loop.h"
#include "offspring.h"
#include "pause.h"
#include "report.h"
#include "shown.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct keeper {
	struct config config;
	struct clustersettings settings;
	struct signals_before before;
	struct localhold hold;
	struct command command;
	struct warden warden;
	struct clusterlock lock;
	struct loop loop;
	uint64_t waits_until;	// lease_clock(); 0: does not wait
	uint64_t started;	// lease_clock(): the command
	pid_t pid;
};

static struct keeper keeper;

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "file", required_argument, NULL, 'f' },
		{ "shim", required_argument, NULL, 's' },
		{ "preload", required_argument, NULL, 'l' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "close", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t deadline = UINT64_MAX;

	for (int letter; (letter = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
		if (letter == 'f')
			keeper.command.file = optarg;
		else if (letter == 's')
			keeper.command.shim = optarg;
		else if (letter == 'l')
			keeper.command.preload = optarg;
		else if (letter == 'd')
			deadline = strtoull(optarg, NULL, 10);
		else if (letter == 'c')
			keeper.command.close = true;
		else
			exit(CONFIG_EXIT_ERROR);
	}
	if (!keeper.command.file || argc == optind)
		errx(CONFIG_EXIT_ERROR, "it is exlock-launch that calls this");
	keeper.command.arguments = argv + optind;
	keeper.waits_until = deadline;
}

// Not in the children: what they leave, this process gives back at its end.
static void leave_local(void)
{
	if (getpid() == keeper.pid)
		localhold_leave(&keeper.hold);
}

// The lock that the launcher took is given back whatever happens from here on.
static void resume_local(void)
{
	if (!localhold_resume(&keeper.hold))
		errx(CONFIG_EXIT_ERROR, "%s: the lock was not kept: nothing is started",
		     keeper.hold.lock.path ? shown(keeper.hold.lock.path) : "EXCLUSIVELOCK_LOCKFILE");
	keeper.pid = getpid();
	(void)atexit(leave_local);
}

// The command, and who may see its environment, has nothing to do with the password. --at-least is about this start alone.
static void forget_settings(void)
{
	char *password = getenv(CONFIG_PREFIX "CLUSTER_PASSWORD");

	if (password)
		explicit_bzero(password, strlen(password));
	(void)unsetenv(CONFIG_PREFIX "CLUSTER_PASSWORD");
	(void)unsetenv(CONFIG_PREFIX "CLUSTER_AT_LEAST");
	(void)unsetenv(CONFIG_PREFIX "CLUSTER_EVEN_ON_FAILURE");
}

static void read_settings(void)
{
	struct config_error error;
	uint64_t now = lease_clock(), passed = pause_clock();

	if (!config_parse(environ, &keeper.config, &error) || !clustersettings_read(environ, &keeper.settings, &error)) {
		report_config_error(&error);
		exit(CONFIG_EXIT_ERROR);
	}
	if (!keeper.config.name)
		errx(CONFIG_EXIT_ERROR, "the lock's name is too long for a cluster: nothing is started");
	forget_settings();
	if (keeper.config.on_held != ON_HELD_WAIT)
		keeper.waits_until = 0;
	else if (keeper.waits_until != UINT64_MAX)
		keeper.waits_until = keeper.waits_until > passed ? now + (keeper.waits_until - passed) : 1;
}

static _Noreturn void die(void)
{
	warden_end(&keeper.warden);
	exit(CONFIG_EXIT_ERROR);
}

// What has the flock of locks around this one stays open: their records name this process, which was the launcher.
static void let_go(void)
{
	const struct mark *mark = &keeper.hold.mark;
	int kept[5 + MARK_OUTER_MAX] = { keeper.command.channel[0], keeper.command.handle, keeper.warden.channel, keeper.warden.handle,
					 keeper.hold.lock.descriptor };
	size_t count = 5;

	for (int i = 0; i < mark->outers; i++)
		kept[count++] = mark->outer[i].number;
	descriptors_let_go(kept, count);
}

static void prepare_command(void)
{
	struct warden_report report;

	signals_hold(&keeper.before);
	if (offspring_adopt() == -1)
		err(CONFIG_EXIT_ERROR, "PR_SET_CHILD_SUBREAPER");
	command_open(&keeper.command);
	warden_start(&keeper.warden, &keeper.command, &keeper.hold, &keeper.before, keeper.config.scope_tree);
	if (recv(keeper.warden.channel, &report, sizeof(report), 0) != (ssize_t)sizeof(report) ||
	    !command_await(&keeper.command, report.pid))
		die();
	let_go();
}

// The launcher has left the mark if the lock in it is this process' own or an ancestor's. Its last part but one is the lease.
static void find_outer(void)
{
	const char *mark = getenv(CONFIG_PREFIX "CLUSTER_INSTANCE");
	const char *end = mark ? strrchr(mark, '.') : NULL;
	const char *dot = end ? memrchr(mark, '.', (size_t)(end - mark)) : NULL;

	if (dot)
		keeper.lock.outer = etcd_bytes(dot + 1, (size_t)(end - dot - 1));
}

static void open_cluster(void)
{
	struct clustervalue value = { .host = keeper.settings.host, .pid = keeper.command.pid, .command = keeper.command.arguments };
	char *queue;
	int length = asprintf(&queue, "%s%s/", keeper.settings.prefix, keeper.config.name);

	keeper.loop = (struct loop){ .command = &keeper.command, .warden = &keeper.warden, .lease = &keeper.lock.lease,
				     .before = &keeper.before };
	keeper.lock.ttl = keeper.settings.ttl;
	find_outer();
	if (length == -1 || !clustervalue_write(&value, &keeper.lock.value) || !loop_open(&keeper.loop) ||
	    !(keeper.lock.etcd = etcd_open(&keeper.settings, loop_wait, &keeper.loop)))
		err(CONFIG_EXIT_ERROR, "the cluster's lock");
	keeper.lock.queue = (struct etcd_bytes){ queue, (size_t)length };
}

static void log_lock(const char *action)
{
	char *key;

	if (asprintf(&key, "etcd:%.*s", (int)keeper.lock.key.length, keeper.lock.key.bytes) == -1)
		return;
	report_log(&keeper.config, action, key);
	free(key);
}

static void give_back(void)
{
	keeper.loop.stage = LOOP_LEAVING;
	clusterlock_give_back(&keeper.lock);
}

// Nothing was started.
static void dismiss(void)
{
	give_back();
	command_dismiss(&keeper.command);
	if (!keeper.loop.over)
		(void)warden_await_over(&keeper.warden, &keeper.loop.end);
	warden_end(&keeper.warden);
}

static _Noreturn void refuse(const struct clusterholder *holder)
{
	// The queue of a name has in it those of the names that begin with it and a slash.
	char *holders = clustervalue_name(&keeper.lock.holder.key, strlen(keeper.settings.prefix));
	const struct lockname name = { .text = holders ? holders : keeper.config.name };

	dismiss();
	if (!keeper.config.quiet)
		(holder->done ? report_has_run : report_refused_by_host)(&name, holder->pid, holder->host);
	exit(keeper.config.exit_code);
}

static struct go flagged(const struct clusterholder *holder)
{
	struct go go = { .how = GO_FLAGGED, .holder = holder->pid };

	(void)strlcpy(go.host, holder->host, sizeof(go.host));
	give_back();
	return go;
}

// By this process itself or an ancestor: the lock goes on under its own keeper.
static struct go pass_by(void)
{
	give_back();
	return (struct go){ .how = GO_UNGUARDED, .fence = keeper.lock.holder.created };
}

static struct go held(void)
{
	struct clusterholder holder = clustervalue_read(&keeper.lock.holder.value);

	if (clusterlock_is_outer(&keeper.lock))
		return pass_by();
	if (keeper.config.on_held != ON_HELD_FLAG)
		refuse(&holder);
	return flagged(&holder);
}

static struct go unguarded(void)
{
	give_back();
	if (!keeper.config.run_on_error) {
		report_error("etcd", 0, shown(keeper.lock.why), "nothing is started");
		dismiss();
		exit(CONFIG_EXIT_ERROR);
	}
	report_error("etcd", 0, shown(keeper.lock.why), "running under this machine's lock alone, as EXCLUSIVELOCK_ON_ERROR says");
	return (struct go){ .how = GO_UNGUARDED };
}

static _Noreturn void interrupted(void)
{
	int signal = keeper.loop.ending;

	keeper.loop.ending = 0;
	dismiss();
	if (signal) {
		leave_local();
		signals_die(signal);
	}
	if (keeper.loop.end.lost || !WIFSIGNALED(keeper.loop.end.status)) {
		report_error("exlock-keeper", 0, keeper.loop.why ? keeper.loop.why : "the command's process has ended", "nothing is started");
		exit(CONFIG_EXIT_ERROR);
	}
	command_end_alike(keeper.loop.end.status);
}

// Asks for the cluster's lock, and what the command is to be told then.
static struct go ask(void)
{
	enum clusterlock_result result;

	while ((result = clusterlock_take(&keeper.lock, keeper.waits_until)) == CLUSTERLOCK_OUT_OF_QUEUE)
		log_lock("Lost the place in the queue, waiting for a new one, at");
	switch (result) {
	case CLUSTERLOCK_TAKEN:
		log_lock("Acquired lock at");
		return (struct go){ .how = GO_GUARDED, .fence = keeper.lock.fence, .lease = keeper.lock.lease.id };
	case CLUSTERLOCK_HELD:
		return held();
	case CLUSTERLOCK_FAILED:
		return unguarded();
	case CLUSTERLOCK_INTERRUPTED:
	case CLUSTERLOCK_OUT_OF_QUEUE:
		break;
	}
	interrupted();
}

static void start(struct go *go)
{
	// The last look at the clock: writing a line of the log may have taken its time.
	if (go->how == GO_GUARDED && lease_phase(&keeper.lock.lease, lease_clock()) >= LEASE_LATE) {
		keeper.lock.why = "the lease grew old before the command could start";
		dismiss();
		report_error("etcd", 0, keeper.lock.why, "nothing is started");
		exit(CONFIG_EXIT_ERROR);
	}
	if (keeper.loop.ending)
		interrupted();
	localhold_part(&keeper.hold, go->how == GO_FLAGGED);
	keeper.loop.stage = LOOP_HOLDING;
	if (go->how == GO_GUARDED)
		warden_order(&keeper.warden, &keeper.lock.lease);
	keeper.started = lease_clock();
	command_start(&keeper.command, go);
}

static bool renew(void)
{
	if (!clusterlock_keep(&keeper.lock))
		return false;
	warden_order(&keeper.warden, &keeper.lock.lease);
	return true;
}

// Keeps the lock, if there is one, until nothing is left that it is held for.
static void keep(void)
{
	while (!keeper.loop.over) {
		bool leased = keeper.lock.lease.id != 0;

		if (!etcd_sleep(keeper.lock.etcd, leased ? clusterlock_due(&keeper.lock) : UINT64_MAX))
			break;
		if (leased && !renew() && !keeper.loop.over)
			loop_lose(&keeper.loop);
	}
}

static void report_end(void)
{
	const char *why = keeper.lock.why ? keeper.lock.why : etcd_complaint(keeper.lock.etcd);

	if (keeper.loop.why)
		report_error("exlock-keeper", 0, keeper.loop.why, "whatever was left of the command was killed");
	else
		report_error("etcd", 0, shown(why[0] ? why : "the lease was not renewed in time"),
			     keeper.loop.end.lost ? "the lock was lost: the command was killed" : "the lease was about to end: the command was asked to end");
}

// Whether the command has not done its work, for the lock's sake. One that was asked to end, and ended with 0 while it held the lock, has done it.
static bool ended_for_lock(void)
{
	const struct warden_report *end = &keeper.loop.end;

	return end->lost || (end->late && end->status != 0);
}

// For how long the name is to stay taken, in nanoseconds, now that the command has ended.
static uint64_t rest_of_name(void)
{
	uint64_t until = keeper.started + keeper.settings.at_least, now = lease_clock();

	if (!keeper.lock.lease.id || ended_for_lock() || (keeper.loop.end.status != 0 && !keeper.settings.even_on_failure))
		return 0;
	return now < until ? until - now : 0;
}

// The key is left under a lease that runs out by itself, so that this process can end with the command. No clock is compared with
// another host's: etcd counts the seconds from here.
static void leave_name(void)
{
	uint64_t rest = rest_of_name();
	struct etcd_bytes done;

	if (!rest)
		return;
	keeper.loop.stage = LOOP_LEAVING;
	keeper.lock.why = NULL;
	if (clustervalue_write_done(&keeper.lock.value, &done) &&
	    clusterlock_leave_key(&keeper.lock, (unsigned)((rest + LEASE_SECOND - 1) / LEASE_SECOND), &done))
		return;
	report_error("etcd", 0, keeper.lock.why ? shown(keeper.lock.why) : "interrupted",
		     "the name is not held for all of --at-least: it is free when the lease has ended");
}

__attribute__((visibility("default"))) int keeper_main(int argc, char **argv)
{
	struct go go;

	parse(argc, argv);
	resume_local();
	read_settings();
	prepare_command();
	open_cluster();
	go = ask();
	start(&go);
	keep();
	if (keeper.loop.end.asked || keeper.loop.end.lost)
		report_end();
	leave_name();
	give_back();
	if (go.how == GO_GUARDED)
		log_lock("Released lock at");
	warden_end(&keeper.warden);
	leave_local();
	if (ended_for_lock())
		exit(CONFIG_EXIT_LOST);
	command_end_alike(keeper.loop.end.status);
}
