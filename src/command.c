// SPDX-License-Identifier: MIT
#include "command.h"

#include "become.h"
#include "config.h"
#include "environment.h"
#include "text.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void set_environment(const struct command *command, struct localhold *hold, const struct go *go)
{
	if (go->how == GO_FLAGGED) {
		localhold_release(hold);
		set_flagged(go);
	} else if (go->how == GO_GUARDED) {
		set_number(CONFIG_PREFIX "FENCE", go->fence);
	}
	set_preload(command, go->how != GO_FLAGGED);
}

static _Noreturn void run_child(const struct command *command, struct localhold *hold, int channel, const struct signals_before *before)
{
	struct go go;

	if (localhold_take_over(hold) == -1)
		err(CONFIG_EXIT_ERROR, "%s", shown(hold->lock.path));
	if (write(channel, "", 1) != 1 || read(channel, &go, sizeof(go)) != (ssize_t)sizeof(go))
		exit(EXIT_SUCCESS);
	// No lease of the keeper's stands behind it.
	if (go.how != GO_GUARDED)
		(void)prctl(PR_SET_PDEATHSIG, 0);
	set_environment(command, hold, &go);
	signals_restore(before);
	become(command->file, command->arguments);
}

bool command_prepare(struct command *command, struct localhold *hold, const struct signals_before *before)
{
	pid_t parent = getpid();
	int channel[2];
	char ready;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == -1)
		err(CONFIG_EXIT_ERROR, "socketpair");
	command->pid = fork();
	if (command->pid == -1)
		err(CONFIG_EXIT_ERROR, "fork");
	if (command->pid == 0) {
		// The parent may have been killed before the kernel was told what to do then.
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(CONFIG_EXIT_ERROR);
		(void)close(channel[0]);
		run_child(command, hold, channel[1], before);
	}
	(void)close(channel[1]);
	command->channel = channel[0];
	return read(command->channel, &ready, 1) == 1;
}

bool command_start(struct command *command, const struct go *go)
{
	bool sent = send(command->channel, go, sizeof(*go), MSG_NOSIGNAL) == (ssize_t)sizeof(*go);

	(void)close(command->channel);
	command->channel = -1;
	return sent;
}

void command_dismiss(struct command *command)
{
	if (command->channel != -1)
		(void)close(command->channel);
	command->channel = -1;
	if (!command->ended && waitpid(command->pid, &command->status, 0) == command->pid)
		command->ended = true;
}

void command_reaped(pid_t pid, int status, void *context)
{
	struct command *command = context;

	if (pid != command->pid)
		return;
	command->ended = true;
	command->status = status;
}

void command_end_alike(const struct command *command)
{
	const struct rlimit none = { 0, 0 };

	if (WIFEXITED(command->status))
		exit(WEXITSTATUS(command->status));
	// The command has left what there is to be left of a core.
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	signals_die(WTERMSIG(command->status));
}
