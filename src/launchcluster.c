// SPDX-License-Identifier: MIT
// exlock-launch --cluster: the machine's lock goes with the PID to the keeper, which takes the cluster's.
#include "complain.h"
#include "launch.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

// What there is at most before the command's own arguments, and the end behind them.
#define KEEPER_ARGUMENTS 7

static _Noreturn void become_keeper(struct launch *launch, uint64_t deadline)
{
	size_t count = 0, given = 0;
	char nanoseconds[TEXT_NUMBER_MAX];
	struct text text = text_in(nanoseconds, sizeof(nanoseconds));
	char **arguments;

	while (launch->options.command[count])
		count++;
	arguments = launch_take(launch, (count + KEEPER_ARGUMENTS) * sizeof(*arguments));
	text_number(&text, deadline);
	arguments[given++] = (char[]){ "exlock-keeper" };
	arguments[given++] = LAUNCH_JOIN(launch, "--file=", launch->file);
	arguments[given++] = LAUNCH_JOIN(launch, "--preload=", launch_preload(launch));
	arguments[given++] = LAUNCH_JOIN(launch, "--deadline=", nanoseconds);
	if (!launch->options.no_preload)
		arguments[given++] = LAUNCH_JOIN(launch, "--shim=", launch->shim);
	arguments[given++] = (char[]){ "--" };
	memcpy(arguments + given, launch->options.command, (count + 1) * sizeof(*arguments));
	// It is the command's.
	environment_remove(environ, "LD_PRELOAD");
	(void)execve(launch->keeper, arguments, environ);
	FAIL(launch->keeper, ": nothing is started: ", report_errno(errno));
}

void launch_in_cluster(struct launch *launch, bool takes_part, bool in_cluster, uint64_t deadline)
{
	if (takes_part)
		become_keeper(launch, deadline);
	// A descendant of the machine's holder runs beside it, but not beside a cluster's.
	if (!in_cluster && launch_is_descendant(launch))
		FAIL(launch->lock_path, " is held by an ancestor of this process, on this machine alone: nothing is started (give it "
		     "--cluster, too, or this one another name)");
}
