// SPDX-License-Identifier: MIT
// exlock-launch: understands the options, takes the lock in this process, by the shim's own code, makes sure of it, and becomes the
// command. The PID stays the same, so that the lock also holds for a command which takes no preload. A script would cost more than all
// of this by its shell's start alone, and lose what of the environment no shell can name.
//
//	exlock-launch [--shim=LIBRARY --keeper=PROGRAM] [OPTION...] [--] COMMAND [ARG...]
//
// For a cluster's lock it becomes PROGRAM instead, which runs COMMAND then.
#include "become.h"
#include "canonical.h"
#include "commandfile.h"
#include "complain.h"
#include "exlock.h"
#include "launch.h"
#include "loader.h"
#include "machine.h"
#include "pause.h"
#include "procfile.h"
#include "seccomp.h"
#include "sharing.h"
#include "shimfile.h"
#include "text.h"
#include "usage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define INCOMPLETE ": exlock is not installed completely; nothing is started"
// The kernel's MAX_ARG_STRLEN with pages of 4 KiB, the smallest there are.
#define VARIABLE_MAX 131072
#define DERIVED_MAX 4096

// For the shim's code: this process makes no filter.
bool seccomp_entered(void)
{
	return false;
}

static _Noreturn void print(const char *text)
{
	size_t length = strlen(text);

	exit(write(STDOUT_FILENO, text, length) == (ssize_t)length ? EXIT_SUCCESS : CONFIG_EXIT_ERROR);
}

// Where the library and the keeper are: where they were built or installed; or with a launcher that was moved, where whoever calls it says
// before all options. Returns where these begin.
static char **take_places(struct launch *launch, char **argv)
{
	static const char shim[] = "--shim=", keeper[] = "--keeper=";
	char **at = argv[0] ? argv + 1 : argv;

	launch->shim = SHIM_PATH;
	launch->keeper = KEEPER_PATH;
	if (!at[0] || !text_begins(at[0], shim) || !at[1] || !text_begins(at[1], keeper))
		return at;
	launch->shim = at[0] + sizeof(shim) - 1;
	launch->keeper = at[1] + sizeof(keeper) - 1;
	return at + 2;
}

static void find_file(struct launch *launch)
{
	char *candidate = launch_place(launch);
	const char *search = config_get(environ, "PATH");

	// An empty one means the current directory.
	if (!search && environment_has(environ, "PATH"))
		search = "";
	launch->file = commandfile_find(launch->options.command[0], search, candidate);
	if (launch->file == candidate)
		launch_keep(launch, candidate);
}

static void read_options(struct launch *launch, char **arguments)
{
	switch (options_parse(arguments, &launch->options)) {
	case OPTIONS_HELP: print(usage_text);
	case OPTIONS_VERSION: print(usage_version);
	case OPTIONS_WRONG: FAIL(launch->options.error);
	case OPTIONS_RUN: break;
	}
	if (launch->options.command[0])
		find_file(launch);
	else if (!launch->options.print)
		FAIL("no command given (see exlock-launch --help)");
	launch_set(launch, launch->options.settings, launch->options.count);
}

// The path of the command's file, free of symlinks, as the kernel has it of the FD that is open on it. That costs less than to read each link.
// Where a file has been deleted, or may be outside our root, it is left to canonical_path().
static void resolve(struct launch *launch, int fd)
{
	static const char deleted[] = " (deleted)";
	const size_t ending = sizeof(deleted) - 1;
	char link[PROCFILE_PATH], *path = launch_place(launch);
	struct text text = text_in(link, sizeof(link));
	ssize_t length;

	text_add(&text, "/proc/self/fd/");
	text_number(&text, (uint64_t)fd);
	length = readlinkat(AT_FDCWD, link, path, PATH_MAX - 1);	// NOLINT(readability-suspicious-call-argument): the link is read into the path
	if (length <= 0 || length == PATH_MAX - 1 || path[0] != '/')
		return;
	path[length] = '\0';
	if ((size_t)length > ending && strcmp(path + (size_t)length - ending, deleted) == 0)
		return;
	launch->resolved = path;
	launch_keep(launch, path);
}

// Another machine's program cannot load our library: its loader would say so at each start.
static const char *find_preload(struct launch *launch)
{
	struct machine machine;
	int fd = machine_open(launch->file, &machine);
	char *sibling;

	if (fd != -1 && !launch->options.name && launch->file[0] == '/')
		resolve(launch, fd);
	if (fd != -1)
		(void)close(fd);
	if (launch->options.no_preload)
		return NULL;
	if (machine_is_same(machine, machine_ours))
		return launch->shim;
	sibling = launch_place(launch);
	if (!machine_sibling(launch->shim, machine, sibling) || shimfile_look(sibling, machine))
		return NULL;
	launch_keep(launch, sibling);
	return sibling;
}

static void check_shim(const struct launch *launch)
{
	const char *wrong = shimfile_look(launch->shim, machine_ours);

	if (wrong)
		FAIL(launch->shim, ": ", wrong, INCOMPLETE);
	if (launch->preloaded && launch->shim[strcspn(launch->shim, ": ")])
		FAIL(launch->shim, ": the loader cannot preload a path with a space or colon; nothing is started");
}

static void check_cluster(const struct launch *launch)
{
	if (!config_get(environ, CONFIG_PREFIX "CLUSTER"))
		FAIL("--cluster needs the cluster's endpoints: --cluster=HOST:PORT,... or EXCLUSIVELOCK_CLUSTER");
	if (faccessat(AT_FDCWD, launch->keeper, X_OK, 0) == -1)
		FAIL("--cluster needs exlock-keeper, which is not installed: exlock was built without it (meson setup "
		     "-Dcluster=enabled; needs libcurl and jansson)");
	if (launch->options.replace)
		FAIL("--replace and --cluster do not go together: the holder may be on another machine");
}

static void read_config(struct launch *launch)
{
	struct config_error error;

	if (!config_parse(environ, &launch->config, &error)) {
		report_config_error(&error);
		exit(CONFIG_EXIT_ERROR);
	}
}

static void find_lock_path(struct launch *launch)
{
	const char *directory = launch->config.dir;
	struct lockdir found;

	launch->lock_path = launch_place(launch);
	if (lockname_path(&launch->lock_name, directory, environ, launch->lock_path, &found) == -1)
		FAIL(directory ? directory : "the lock directory", ": ", report_errno(errno));
	launch_keep(launch, launch->lock_path);
}

// Whether an outer lock is this very one.
static bool is_outer(const struct launch *launch)
{
	const char *outer = config_get(environ, CONFIG_PREFIX "LOCKFILE");

	return outer && strcmp(launch->lock_path, outer) == 0;
}

// Inside an outer lock its name is in the environment, too. That alone does not ask for the same lock again.
static bool is_outer_name(struct launch *launch)
{
	if (!config_get(environ, CONFIG_PREFIX "INSTANCE") && !config_get(environ, CONFIG_PREFIX "HELD"))
		return false;
	find_lock_path(launch);
	return is_outer(launch);
}

// COMMAND, which is FILE and leads to PROGRAM, without a name for its lock.
static void warn_of_sharing(const struct launch *launch, char *const *command, const char *file, const char *program)
{
	if (launch->config.by_args || launch->config.quiet)
		return;
	switch (sharing_find(file, program, command[1] != NULL)) {
	case SHARING_RUNNER:
		COMPLAIN("all that ", command[0], " runs would share its lock ", program,
			 " (-n NAME gives it a name, -a makes the arguments part of the name)");
		break;
	case SHARING_LINKS:
		COMPLAIN("all links to ", program, ", of which ", command[0], " is one, would share its lock (-n NAME gives it a name)");
		break;
	case SHARING_NONE: break;
	}
}

// The name that the shim would derive: so this and a plain preload exclude one another.
static void derive_name(struct launch *launch)
{
	char *place = launch_place(launch);
	const char *program = place;
	char *const *command = launch->options.command, *const *loaded;
	const char *file = launch->file;

	if (!file)
		FAIL("no command given (see exlock-launch --help)");
	loaded = loader_is(file) ? loader_program(command + 1) : NULL;
	if (loaded) {
		command = loaded;
		file = *loaded;
	}
	if (file == launch->file && launch->resolved)
		program = launch->resolved;
	else if (canonical_path(file, place) == -1)
		FAIL(file, ": its path cannot be told (-n gives the lock a name): ", report_errno(errno));
	launch_keep(launch, program);
	warn_of_sharing(launch, command, file, program);
	launch->lock_name.text = program;
	if (launch->config.by_args)
		launch->lock_name.arguments = command + 1;
}

static void find_name(struct launch *launch)
{
	const char *given = launch->options.name;

	launch->lock_name.text = given ? given : launch->config.name;
	if (!given && launch->config.name && is_outer_name(launch))
		launch->lock_name.text = NULL;
	if (!launch->lock_name.text)
		derive_name(launch);
	find_lock_path(launch);
}

static void forget_outer_marks(void)
{
	static const char *const marks[] = { CONFIG_PREFIX "PID", CONFIG_PREFIX "LOCKFILE", CONFIG_PREFIX "INSTANCE", CONFIG_PREFIX "HELD",
		CONFIG_PREFIX "HOLDER", CONFIG_PREFIX "HOLDER_HOST", CONFIG_PREFIX "FENCE" };

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		environment_remove(environ, marks[i]);
}

static void count_piece(void *context, const char *bytes, size_t length)
{
	(void)bytes;
	*(size_t *)context += length;
}

static void join_piece(void *context, const char *bytes, size_t length)
{
	text_bytes(context, bytes, length);
}

static void set_name(struct launch *launch)
{
	const char *name = launch->lock_name.text;
	size_t size = 1;
	struct text text;

	if (!launch->lock_name.arguments) {
		launch_set(launch, &(struct setting){ CONFIG_PREFIX "NAME", name }, 1);
		return;
	}
	lockname_walk(&launch->lock_name, count_piece, &size);
	text = text_in(launch_take(launch, size), size);
	lockname_walk(&launch->lock_name, join_piece, &text);
	launch_set(launch, &(struct setting){ CONFIG_PREFIX "NAME", text.start }, 1);
}

static bool is_flagged(const struct launch *launch)
{
	return launch->config.on_held == ON_HELD_FLAG && config_get(environ, CONFIG_PREFIX "HELD");
}

// Makes sure of the lock. Returns whether the command is to take it up: a descendant of the holder is not, which the shim lets pass by
// without a mark.
static bool check_lock(const struct launch *launch)
{
	if (exlock_is_taken()) {
		if (!exlock_lasts())
			FAIL(launch->lock_path, ": the PID cannot be written (a limit of the file size?): nothing is started");
		return true;
	}
	if (is_flagged(launch))
		return true;
	if (!launch->config.run_on_error && !launch_is_descendant(launch))
		FAIL(launch->lock_path, ": the lock was not taken: nothing is started");
	return false;
}

// The shim goes first in the command's preload, the user's own libraries after it.
static void set_preload(struct launch *launch, bool with_shim)
{
	const char *shim = with_shim && launch->preloaded ? launch->preloaded : "";
	const char *own = launch_preload(launch);

	if (*shim || *own)
		launch_set(launch, &(struct setting){ "LD_PRELOAD", LAUNCH_JOIN(launch, shim, *shim && *own ? ":" : "", own) }, 1);
	else
		environment_remove(environ, "LD_PRELOAD");
}

// A name made of very many arguments takes their room in execve(2) a second time, or is more than fits in one variable. The command's shim
// has the mark, and can derive the name again.
static void drop_long_name(const struct launch *launch)
{
	const char *name = config_get(environ, CONFIG_PREFIX "NAME");

	if (name && sizeof(CONFIG_PREFIX "NAME=") + strlen(name) > (launch->lock_name.arguments ? DERIVED_MAX : VARIABLE_MAX))
		environment_remove(environ, CONFIG_PREFIX "NAME");
}

// Until when both locks together are waited for, in pause_clock()'s time.
static uint64_t wait_end(const struct launch *launch)
{
	uint64_t now = pause_clock();

	return launch->config.timeout_ns < UINT64_MAX - now ? now + launch->config.timeout_ns : UINT64_MAX;
}

static void take_lock(struct launch *launch)
{
	launch->outer = config_get(environ, CONFIG_PREFIX "INSTANCE");
	forget_outer_marks();
	set_name(launch);
	// Nobody is to end its own ancestors.
	if (launch->options.replace && !launch_is_descendant(launch))
		launch_replace(launch);
	else
		launch_take_lock(launch);
}

int main(int argc, char **argv)
{
	static struct launch launch;
	bool cluster, takes_part;
	uint64_t deadline;

	(void)argc;
	launch.room = (struct environment_room){ launch.memory, sizeof(launch.memory) };
	read_options(&launch, take_places(&launch, argv));
	cluster = launch.options.cluster && !launch.options.print;
	if (!launch.options.print) {
		launch.preloaded = find_preload(&launch);
		check_shim(&launch);
	}
	if (cluster)
		check_cluster(&launch);
	read_config(&launch);
	if (launch.options.close && launch.config.scope_tree)
		FAIL("--close and --scope tree do not go together: a tree keeps the lock by that descriptor");
	find_name(&launch);
	if (launch.options.print)
		print(LAUNCH_JOIN(&launch, launch.lock_path, "\n"));
	deadline = cluster ? wait_end(&launch) : 0;
	take_lock(&launch);
	takes_part = check_lock(&launch);
	if (cluster && !is_flagged(&launch))
		launch_in_cluster(&launch, takes_part, deadline);
	set_preload(&launch, takes_part);
	drop_long_name(&launch);
	become(launch.file, launch.options.command);
}
