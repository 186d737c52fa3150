// SPDX-License-Identifier: MIT
#include "command.h"

#include "become.h"
#include "clustermark.h"
#include "config.h"
#include "descriptor.h"
#include "keeperio.h"
#include "shown.h"
#include "text.h"

#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void set(const char *variable, const char *value)
{
	if (setenv(variable, value, 1) == -1)
		err(CONFIG_EXIT_ERROR, "%s", variable);
}

static void set_number(const char *variable, uint64_t number)
{
	char text[TEXT_NUMBER_MAX];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	set(variable, text);
}

// What a start of the library's would have left, that runs beside a holder.
static void set_flagged(const struct go *go)
{
	(void)unsetenv(CONFIG_PREFIX "PID");
	(void)unsetenv(CONFIG_PREFIX "INSTANCE");
	set(CONFIG_PREFIX "HELD", "1");
	if (go->holder > 0)
		set_number(CONFIG_PREFIX "HOLDER", (uint64_t)go->holder);
	if (go->host[0])
		set(CONFIG_PREFIX "HOLDER_HOST", go->host);
}

static void set_preload(const struct command *command, bool with_shim)
{
	const char *shim = with_shim && command->shim ? command->shim : "";
	const char *others = command->preload ? command->preload : "";
	char *preload;

	if (asprintf(&preload, "%s%s%s", shim, *shim && *others ? ":" : "", others) == -1)
		err(CONFIG_EXIT_ERROR, "LD_PRELOAD");
	if (*preload)
		set("LD_PRELOAD", preload);
	free(preload);
}

// For launchers that are called inside for the same lock. In a tree the command may have ended: there the lock is held, and the keeper an
// ancestor, as long as any of them is there.
static void set_mark(const struct localhold *hold, const struct go *go)
{
	const struct process_self *keeper = &go->keeper;
	bool tree = hold->mark.lock.flags & MARK_TREE;
	char begin[CLUSTERMARK_MAX], *mark;

	clustermark_begin(environ, tree ? keeper->pid : hold->mark.pid, tree ? keeper->start : hold->mark.start, begin);
	if (asprintf(&mark, "%s%ld.%" PRIu64 ".%" PRIx64 ".%" PRIu64, begin, (long)keeper->pid, keeper->start, go->lease, go->fence) == -1)
		err(CONFIG_EXIT_ERROR, CONFIG_PREFIX "CLUSTER_INSTANCE");
	set(CONFIG_PREFIX "CLUSTER_INSTANCE", mark);
	free(mark);
}

// What systemd hands over, sockets and its watchdog, is for the process that has this PID. That was to be the launcher.
static void take_over_from_systemd(pid_t keeper)
{
	static const char *const variables[] = { "LISTEN_PID", "WATCHDOG_PID" };
	char pid[TEXT_NUMBER_MAX];

	(void)snprintf(pid, sizeof(pid), "%ld", (long)keeper);
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		const char *value = getenv(variables[i]);

		if (value && strcmp(value, pid) == 0)
			set_number(variables[i], (uint64_t)getpid());
	}
}

static void set_environment(const struct command *command, struct localhold *hold, const struct go *go)
{
	if (go->how == GO_FLAGGED) {
		localhold_release(hold);
		set_flagged(go);
	} else if (!command->close) {
		localhold_hand_over(hold);
	}
	if (go->how == GO_GUARDED)
		set_mark(hold, go);
	if (go->fence)
		set_number(CONFIG_PREFIX "FENCE", go->fence);
	set_preload(command, go->how != GO_FLAGGED);
}

static _Noreturn void run_child(const struct command *command, struct localhold *hold, const struct signals_before *before)
{
	int channel = command->channel[1];
	struct go go;

	(void)close(command->channel[0]);
	if (localhold_take_over(hold) == -1)
		err(CONFIG_EXIT_ERROR, "%s", shown(hold->lock.path));
	if (write(channel, "", 1) != 1 || read(channel, &go, sizeof(go)) != (ssize_t)sizeof(go))
		_exit(EXIT_SUCCESS);
	// No lease stands behind it.
	if (!go.fence)
		(void)prctl(PR_SET_PDEATHSIG, 0);
	set_environment(command, hold, &go);
	take_over_from_systemd(go.keeper.pid);
	signals_set_timers(&go.timers);
	signals_restore(before);
	become(command->file, command->arguments);
}

void command_open(struct command *command)
{
	command->handle = -1;
	if (channel_open(command->channel) == -1)
		err(CONFIG_EXIT_ERROR, "the command's channel");
}

pid_t command_fork(struct command *command, struct localhold *hold, const struct signals_before *before)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == -1)
		err(CONFIG_EXIT_ERROR, "fork");
	if (pid == 0) {
		// The parent may have been killed before the kernel was told what to do then.
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(CONFIG_EXIT_ERROR);
		run_child(command, hold, before);
	}
	return pid;
}

void command_close(struct command *command)
{
	(void)close(command->channel[0]);
	(void)close(command->channel[1]);
}

bool command_await(struct command *command, pid_t pid)
{
	char ready;

	command->pid = pid;
	// It cannot have been reaped: who knows of it waits for our word.
	command->handle = descriptor_move_up(pidfd_open(pid, 0));
	(void)close(command->channel[1]);
	return read(command->channel[0], &ready, 1) == 1;
}

void command_start(struct command *command, struct go *go)
{
	signals_take_timers(&go->timers);
	// Whether it is there to hear of it shows in its end.
	go->keeper = process_self();
	(void)send(command->channel[0], go, sizeof(*go), MSG_NOSIGNAL);
	(void)close(command->channel[0]);
}

void command_dismiss(struct command *command)
{
	(void)close(command->channel[0]);
}

void command_signal(const struct command *command, int signal)
{
	if (command->handle != -1)
		(void)pidfd_send_signal(command->handle, signal, NULL, 0);
	else
		(void)kill(command->pid, signal);
}

void command_end_alike(int status)
{
	const struct rlimit none = { 0, 0 };

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	// The command has left what there is to be left of a core.
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	signals_die(WTERMSIG(status));
}
