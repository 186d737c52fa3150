// SPDX-License-Identifier: MIT
// exlock-launch --cluster: the machine's lock goes with the PID to the keeper, which takes the cluster's.
#include "clustermark.h"
#include "complain.h"
#include "descent.h"
#include "launch.h"
#include "process.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void become_keeper(struct launch *launch, uint64_t deadline)
{
	char nanoseconds[TEXT_NUMBER_MAX];
	struct text text = text_in(nanoseconds, sizeof(nanoseconds));

	text_number(&text, deadline);

	char *own[] = {
		(char[]){ "exlock-keeper" },
		LAUNCH_JOIN(launch, "--file=", launch->file),
		LAUNCH_JOIN(launch, "--preload=", launch_preload(launch)),
		LAUNCH_JOIN(launch, "--deadline=", nanoseconds),
		launch->preloaded ? LAUNCH_JOIN(launch, "--shim=", launch->preloaded) : NULL,
		launch->options.close ? LAUNCH_JOIN(launch, "--close") : NULL,
		(char[]){ "--" },
	};
	size_t count = 0, given = 0;
	char **arguments;

	while (launch->options.command[count])
		count++;
	arguments = launch_take(launch, sizeof(own) + (count + 1) * sizeof(*arguments));
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (own[i])
			arguments[given++] = own[i];
	memcpy(arguments + given, launch->options.command, (count + 1) * sizeof(*arguments));
	// It is the command's.
	environment_remove(environ, "LD_PRELOAD");
	(void)execve(launch->keeper, arguments, environ);
	FAIL(launch->keeper, ": nothing is started: ", report_errno(errno));
}

// What the mark of a cluster's lock says that this process has already, by itself or by an ancestor.
enum outer {
	OUTER_NONE,
	OUTER_OTHER,		// under another name, prefix, or endpoints, which may lead to the same cluster
	OUTER_SAME,
};

struct instance {
	pid_t pid;
	uint64_t start;
};

static bool parse_instance(const char **at, const char *end, struct instance *instance)
{
	uint64_t pid;

	if (!text_parse_number(at, end, &pid) || pid > INT32_MAX || *(*at)++ != '.' || !text_parse_number(at, end, &instance->start))
		return false;
	instance->pid = (pid_t)pid;
	return true;
}

// Whether it lives, and is this process or an ancestor.
static bool is_above(const struct instance *instance)
{
	return process_is_instance(instance->pid, instance->start) && (instance->pid == getpid() || descent_from(instance->pid));
}

// Whether the lock has gone on to a daemon that the command has left behind: then its keeper is there, AT in the mark, and the record of the
// machine's lock names the daemon.
static bool is_of_daemon(const struct launch *launch, const char *at, const char *end)
{
	struct instance keeper;

	return parse_instance(&at, end, &keeper) && is_above(&keeper) && descent_by_record(launch->lock_path);
}

// Environments are replayed: the mark counts while its process lives and is this one or an ancestor. As long as that is there it has the lock.
static enum outer find_outer(const struct launch *launch, const char *mark)
{
	const char *at = mark, *end = mark + strlen(mark);
	char asked_for[CLUSTERMARK_MAX];
	struct instance command;
	bool same;

	if (!parse_instance(&at, end, &command))
		return OUTER_NONE;
	clustermark_begin(environ, command.pid, command.start, asked_for);
	same = text_begins(mark, asked_for);
	if (is_above(&command) || (same && is_of_daemon(launch, mark + strlen(asked_for), end)))
		return same ? OUTER_SAME : OUTER_OTHER;
	return OUTER_NONE;
}

// Whether the lock that is asked for is an outer one. Then the command gets its fence.
static bool pass_by(struct launch *launch)
{
	const char *mark = config_get(environ, CONFIG_PREFIX "CLUSTER_INSTANCE");
	enum outer outer = mark ? find_outer(launch, mark) : OUTER_NONE;

	if (outer == OUTER_SAME) {
		launch_set(launch, &(struct setting){ CONFIG_PREFIX "FENCE", strrchr(mark, '.') + 1 }, 1);
		// These are about the start that took the lock.
		environment_remove(environ, CONFIG_PREFIX "CLUSTER_AT_LEAST");
		environment_remove(environ, CONFIG_PREFIX "CLUSTER_EVEN_ON_FAILURE");
	}
	// With another one the keeper may still find that it asks for the same.
	if (outer == OUTER_NONE)
		environment_remove(environ, CONFIG_PREFIX "CLUSTER_INSTANCE");
	return outer == OUTER_SAME;
}

void launch_in_cluster(struct launch *launch, bool takes_part, uint64_t deadline)
{
	if (pass_by(launch))
		return;
	if (takes_part)
		become_keeper(launch, deadline);
	// A descendant of the machine's holder runs beside it, but not beside a cluster's.
	if (launch_is_descendant(launch))
		FAIL(launch->lock_path, " is held by an ancestor of this process, on this machine alone or in another cluster: nothing is "
		     "started (give both the same --cluster and keep EXCLUSIVELOCK_CLUSTER_INSTANCE in between, or give this one another name)");
}
