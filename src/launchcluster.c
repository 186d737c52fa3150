// SPDX-License-Identifier: MIT
// exlock-launch --cluster: the machine's lock goes with the PID to the keeper, which takes the cluster's.
#include "complain.h"
#include "launch.h"
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

void launch_in_cluster(struct launch *launch, bool takes_part, bool in_cluster, uint64_t deadline)
{
	if (takes_part)
		become_keeper(launch, deadline);
	// A descendant of the machine's holder runs beside it, but not beside a cluster's.
	if (!in_cluster && launch_is_descendant(launch))
		FAIL(launch->lock_path, " is held by an ancestor of this process, on this machine alone: nothing is started (give it "
		     "--cluster, too, or this one another name)");
}
