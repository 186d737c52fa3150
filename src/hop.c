// SPDX-License-Identifier: MIT
// The launcher's hop: loads the shim, which takes the lock in this process, makes sure that it did, and becomes the command.
// The PID stays the same, so that the lock also holds for a command which takes no preload. Loaded by dlopen(3), a shim that
// is missing or broken is an error; preloaded, it would be a line of the loader's at most.
//
//	exlock-hop --shim=LIBRARY [--preload=LIST] [--name=NAME] [--no-preload] [--replace=SECONDS] [--keeper=PROGRAM] [--print] --
//		FILE COMMAND [ARG...]
//
// runs FILE, with COMMAND for its name and LIST for its preload; --print ends after it has printed the path of the lock file. For a
// cluster's lock it becomes PROGRAM instead, which runs FILE then.
#include "become.h"
#include "canonical.h"
#include "config.h"
#include "descent.h"
#include "environment.h"
#include "lockname.h"
#include "mark.h"
#include "pattern.h"
#include "pause.h"
#include "record.h"
#include "replace.h"
#include "report.h"
#include "text.h"

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ONLY CONFIG_PREFIX "ONLY"
#define REPLACED CONFIG_PREFIX "REPLACED"
// How long a process may take to go that has been killed: it may have much memory.
#define REPLACE_EXTRA_SECONDS 10
// The kernel's MAX_ARG_STRLEN with pages of 4 KiB, the smallest there are.
#define VARIABLE_MAX 131072
#define INTERPRETERS "sh:bash:dash:ash:ksh:ksh[0-9]*:mksh:zsh:busybox:env:python:python[0-9]*:perl:perl[0-9]*:ruby:ruby[0-9]*:" \
		     "node:nodejs:java:php:php[0-9]*:lua:lua[0-9]*:tclsh:tclsh[0-9]*:wish:wish[0-9]*:Rscript:awk:gawk:mawk"

struct launch {
	const char *shim;
	const char *preload;
	const char *name;	// NULL: from the environment, or derived
	const char *replace;	// seconds that the holder has to end; NULL: it is left alone
	const char *keeper;	// what is to take a cluster's lock; NULL: the machine's is all
	bool no_preload;
	bool print;
	const char *file;
	char **command;		// with its arguments
	struct config config;
	struct lockname lock_name;
	char program[PATH_MAX];
	char lock_path[PATH_MAX];
};

static void parse(struct launch *launch, int argc, char **argv)
{
	static const struct option known[] = {
		{ "shim", required_argument, NULL, 's' },
		{ "preload", required_argument, NULL, 'l' },
		{ "name", required_argument, NULL, 'n' },
		{ "no-preload", no_argument, NULL, 'P' },
		{ "replace", required_argument, NULL, 'r' },
		{ "keeper", required_argument, NULL, 'k' },
		{ "print", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};

	for (int letter; (letter = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
		if (letter == 's')
			launch->shim = optarg;
		else if (letter == 'l')
			launch->preload = optarg;
		else if (letter == 'n')
			launch->name = optarg;
		else if (letter == 'P')
			launch->no_preload = true;
		else if (letter == 'r')
			launch->replace = optarg;
		else if (letter == 'k')
			launch->keeper = optarg;
		else if (letter == 'p')
			launch->print = true;
		else
			exit(CONFIG_EXIT_ERROR);
	}
	if (!launch->shim || (argc - optind < 2 && !launch->print))
		errx(CONFIG_EXIT_ERROR, "it is exlock-launch that calls this");
	launch->file = argc > optind ? argv[optind] : NULL;
	launch->command = argv + optind + (argc > optind);
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
	if (lockname_path(&launch->lock_name, launch->config.dir, getenv("TMPDIR"), launch->lock_path) == -1)
		err(CONFIG_EXIT_ERROR, "%s", launch->config.dir ? shown(launch->config.dir) : "TMPDIR");
}

// Inside an outer lock its name is in the environment, too. That alone does not ask for the same lock again.
static bool is_outer_name(struct launch *launch)
{
	const char *outer = config_get(environ, CONFIG_PREFIX "LOCKFILE");

	if (!outer || (!config_get(environ, CONFIG_PREFIX "INSTANCE") && !config_get(environ, CONFIG_PREFIX "HELD")))
		return false;
	find_lock_path(launch);
	return strcmp(launch->lock_path, outer) == 0;
}

static void warn_of_interpreter(const struct launch *launch)
{
	if (launch->command[1] && !launch->config.by_args && !launch->config.quiet && pattern_selects(INTERPRETERS, launch->program))
		warnx("all that %s runs would share its lock %s (give it a name with -n, or its arguments with -a)",
		      shown(launch->command[0]), shown(launch->program));
}

static void join_piece(void *context, const char *bytes, size_t length)
{
	(void)fwrite(bytes, 1, length, context);
}

static void set_name(const struct launch *launch)
{
	char *name = NULL;
	size_t size;
	FILE *stream = open_memstream(&name, &size);

	if (!stream)
		err(CONFIG_EXIT_ERROR, "the lock's name");
	lockname_walk(&launch->lock_name, join_piece, stream);
	if (fclose(stream) == EOF || setenv(CONFIG_PREFIX "NAME", name, 1) == -1)
		err(CONFIG_EXIT_ERROR, "the lock's name");
	free(name);
}

// The name that the shim would derive: so this and a plain preload exclude one another.
static void find_name(struct launch *launch)
{
	launch->lock_name.text = launch->name ? launch->name : launch->config.name;
	if (!launch->name && launch->config.name && is_outer_name(launch))
		launch->lock_name.text = NULL;
	if (!launch->lock_name.text && !launch->file)
		errx(CONFIG_EXIT_ERROR, "no command given (see exlock-launch --help)");
	if (!launch->lock_name.text) {
		if (canonical_path(launch->file, launch->program) == -1)
			err(CONFIG_EXIT_ERROR, "%s: its path cannot be told (-n gives the lock a name)", shown(launch->file));
		warn_of_interpreter(launch);
		launch->lock_name.text = launch->program;
		if (launch->config.by_args)
			launch->lock_name.arguments = launch->command + 1;
	}
	find_lock_path(launch);
}

static void forget_outer_marks(void)
{
	static const char *const marks[] = { "PID", "LOCKFILE", "INSTANCE", "HELD", "HOLDER", "HOLDER_HOST", "FENCE" };
	char variable[sizeof(CONFIG_PREFIX) + sizeof("HOLDER_HOST")];

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		struct text text = text_in(variable, sizeof(variable));

		text_add(&text, CONFIG_PREFIX);
		text_add(&text, marks[i]);
		(void)unsetenv(variable);
	}
}

static const char *loading;

static void fail_on_bus_error(int signal)
{
	static const char text[] = ": is cut off: exlock is not installed completely; nothing is started\n";

	(void)signal;
	(void)!write(STDERR_FILENO, loading, strlen(loading));
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(CONFIG_EXIT_ERROR);
}

// The shim's constructor does all the work: it ends this process where the start is refused, or the lock cannot be judged.
static void load_shim(const struct launch *launch)
{
	const struct sigaction guard = { .sa_handler = fail_on_bus_error };
	struct sigaction before;
	const char *given = getenv(ONLY);
	char *only = given ? strdup(given) : NULL;
	const void *shim;

	loading = launch->shim;
	(void)unsetenv(ONLY);	// it is about the command, and that was chosen
	(void)sigaction(SIGBUS, &guard, &before);
	shim = dlopen(launch->shim, RTLD_NOW | RTLD_LOCAL);
	(void)sigaction(SIGBUS, &before, NULL);
	if (only)
		(void)setenv(ONLY, only, 1);
	free(only);
	if (!shim)
		errx(CONFIG_EXIT_ERROR, "%s: nothing is started", dlerror());
}

static uint64_t replace_grace(const struct launch *launch)
{
	struct config config;
	struct config_error error;
	char *setting;

	if (asprintf(&setting, CONFIG_PREFIX "TIMEOUT=%s", launch->replace) == -1)
		err(CONFIG_EXIT_ERROR, "--replace");
	if (!config_parse((char *[]){ setting, NULL }, &config, &error) || config.timeout_ns == UINT64_MAX)
		errx(CONFIG_EXIT_ERROR, "--replace='%s': must be a number of seconds, as in 2 or 0.5", launch->replace);
	free(setting);
	return config.timeout_ns;
}

// The shim waits in the queue while the holder ends: so nobody who comes later gets in between.
static void load_shim_replacing(const struct launch *launch)
{
	uint64_t grace = replace_grace(launch);
	char seconds[TEXT_NUMBER_MAX], holder[TEXT_NUMBER_MAX];
	struct replacement replacement;
	const char *why;
	bool killed;

	if (replace_ask(launch->lock_path, grace, &replacement, &why) == -1)
		errx(CONFIG_EXIT_ERROR, "%s is held by pid %ld, and %s: not replaced, nothing is started", launch->lock_path,
		     (long)replacement.holder, why);
	(void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(grace / 1000000000) + REPLACE_EXTRA_SECONDS);
	(void)snprintf(holder, sizeof(holder), "%ld", (long)replacement.holder);
	if (replacement.holder && (setenv(CONFIG_PREFIX "ON_HELD", "wait", 1) == -1 ||
				   setenv(CONFIG_PREFIX "TIMEOUT", seconds, 1) == -1 || setenv(REPLACED, holder, 1) == -1))
		err(CONFIG_EXIT_ERROR, "--replace");
	load_shim(launch);
	killed = replace_finish(&replacement);
	(void)unsetenv(CONFIG_PREFIX "ON_HELD");
	(void)unsetenv(CONFIG_PREFIX "TIMEOUT");
	(void)unsetenv(REPLACED);
	if (replacement.holder && !launch->config.quiet)
		warnx("replaced pid %ld, which %s", (long)replacement.holder, killed ? "had to be killed" : "ended when asked");
}

static bool holds(const struct launch *launch)
{
	const char *path = getenv(CONFIG_PREFIX "LOCKFILE");
	const char *pid = getenv(CONFIG_PREFIX "PID");
	const char *end = pid ? pid + strlen(pid) : NULL;
	uint64_t number;

	return path && strcmp(path, launch->lock_path) == 0 && pid && text_parse_number(&pid, end, &number) && pid == end &&
	       number == (uint64_t)getpid();
}

// Whether the lock outlasts exec, by the record or by an inherited descriptor.
static bool lasts(const struct launch *launch)
{
	struct record record;
	struct stat status;
	struct mark mark;

	return (record_peek(launch->lock_path, &record, &status) == 0 && record.pid == getpid()) ||
	       (mark_parse(getenv(CONFIG_PREFIX "INSTANCE"), &mark) && mark.descriptor >= 0);
}

static bool is_flagged(const struct launch *launch)
{
	const char *held = getenv(CONFIG_PREFIX "HELD");

	return launch->config.on_held == ON_HELD_FLAG && held && strcmp(held, "1") == 0;
}

// The shim lets a descendant of the holder pass by, and leaves no mark of that. The marks that this process inherited are
// gone, so the shim went by the ancestors, as this does.
static bool is_descendant(const struct launch *launch)
{
	struct record record;
	struct stat status;

	return record_peek(launch->lock_path, &record, &status) == 0 &&
	       descent_by_ancestry(record_is_alive(&record) ? record.pid : 0, launch->lock_path, false);
}

// The user's own preload, without what it may have of ours.
static char *others(const struct launch *launch)
{
	char *list = strdup(launch->preload ? launch->preload : "");

	if (!list)
		err(CONFIG_EXIT_ERROR, "LD_PRELOAD");
	environment_strip_entries(list, text_basename(launch->shim));
	return list;
}

// The shim goes first in the command's preload, the user's own libraries after it.
static void set_preload(const struct launch *launch, bool with_shim)
{
	const char *shim = with_shim ? launch->shim : "";
	char *preload, *own = others(launch);

	if (asprintf(&preload, "%s%s%s", shim, *shim && *own ? ":" : "", own) == -1 ||
	    (*preload && setenv("LD_PRELOAD", preload, 1) == -1))
		err(CONFIG_EXIT_ERROR, "LD_PRELOAD");
	free(preload);
	free(own);
}

// Makes sure of the lock. Returns whether the command is to take it up: a descendant of the holder is not.
static bool check_lock(const struct launch *launch)
{
	if (holds(launch)) {
		if (lasts(launch))
			return true;
		(void)signal(SIGXFSZ, SIG_IGN);	// the message may go to a file, under the same limit
		errx(CONFIG_EXIT_ERROR, "%s: the PID cannot be written (a limit of the file size?): nothing is started",
		     shown(launch->lock_path));
	}
	if (is_flagged(launch))
		return true;
	if (!is_descendant(launch) && !launch->config.run_on_error)
		errx(CONFIG_EXIT_ERROR, "%s took no lock: nothing is started", launch->shim);
	return false;
}

// A name made of very many arguments is more than execve(2) takes in one variable. The command's shim has the mark, and can
// derive the name again.
static void drop_long_name(void)
{
	const char *name = getenv(CONFIG_PREFIX "NAME");

	if (name && sizeof(CONFIG_PREFIX "NAME=") + strlen(name) > VARIABLE_MAX)
		(void)unsetenv(CONFIG_PREFIX "NAME");
}

// Whether an outer launcher says that it holds this very lock in the cluster.
static bool is_held_in_cluster(const struct launch *launch)
{
	const char *outer = config_get(environ, CONFIG_PREFIX "LOCKFILE");

	return outer && strcmp(launch->lock_path, outer) == 0 && config_get(environ, CONFIG_PREFIX "FENCE");
}

// A descendant of the machine's holder runs beside it, but not beside a cluster's.
static void check_cluster(const struct launch *launch, bool in_cluster)
{
	if (!in_cluster && is_descendant(launch))
		errx(CONFIG_EXIT_ERROR, "%s is held by an ancestor of this process, on this machine alone: nothing is started (give "
		     "it --cluster, too, or this one another name)", shown(launch->lock_path));
}

// Until when both locks together are waited for, in pause_clock()'s time.
static uint64_t wait_end(const struct launch *launch)
{
	uint64_t now = pause_clock();

	return launch->config.timeout_ns < UINT64_MAX - now ? now + launch->config.timeout_ns : UINT64_MAX;
}

static char *argument(const char *option, const char *value)
{
	char *text;

	if (asprintf(&text, "--%s=%s", option, value) == -1)
		err(CONFIG_EXIT_ERROR, "%s", option);
	return text;
}

// The machine's lock goes with the PID.
static _Noreturn void become_keeper(const struct launch *launch, uint64_t deadline)
{
	char nanoseconds[TEXT_NUMBER_MAX];
	size_t count = 0, given = 0;
	char **arguments;

	while (launch->command[count])
		count++;
	arguments = calloc(count + 8, sizeof(*arguments));
	if (!arguments)
		err(CONFIG_EXIT_ERROR, "%s", launch->keeper);
	(void)snprintf(nanoseconds, sizeof(nanoseconds), "%llu", (unsigned long long)deadline);
	arguments[given++] = (char[]){ "exlock-keeper" };
	arguments[given++] = argument("file", launch->file);
	arguments[given++] = argument("preload", others(launch));
	arguments[given++] = argument("deadline", nanoseconds);
	if (!launch->no_preload)
		arguments[given++] = argument("shim", launch->shim);
	arguments[given++] = (char[]){ "--" };
	memcpy(arguments + given, launch->command, count * sizeof(*arguments));
	execv(launch->keeper, arguments);
	err(CONFIG_EXIT_ERROR, "%s: nothing is started", launch->keeper);
}

int main(int argc, char **argv)
{
	static struct launch launch;
	bool in_cluster, takes_part;
	uint64_t deadline;

	program_invocation_short_name = program_invocation_name = (char[]){ "exlock-launch" };
	parse(&launch, argc, argv);
	read_config(&launch);
	find_name(&launch);
	if (launch.print)
		return puts(launch.lock_path) < 0 || fflush(stdout) == EOF ? CONFIG_EXIT_ERROR : 0;
	in_cluster = is_held_in_cluster(&launch);
	deadline = wait_end(&launch);
	forget_outer_marks();
	set_name(&launch);
	// Nobody is to end its own ancestors.
	if (launch.replace && !is_descendant(&launch))
		load_shim_replacing(&launch);
	else
		load_shim(&launch);
	takes_part = check_lock(&launch);
	if (launch.keeper && takes_part && !is_flagged(&launch))
		become_keeper(&launch, deadline);
	if (launch.keeper && !takes_part)
		check_cluster(&launch, in_cluster);
	set_preload(&launch, takes_part && !launch.no_preload);
	drop_long_name();
	become(launch.file, launch.command);
}
