// SPDX-License-Identifier: MIT
// The launcher's hop: runs under the shim, makes sure that the shim did its work, and becomes the command. The PID stays the
// same, so that the lock also holds for a command which takes no preload.
//
//	exlock-hop [--no-preload] [--only=PATTERNS] -- FILE COMMAND [ARG...]	becomes FILE, with COMMAND for its name
//	exlock-hop --path							prints the path of the lock EXCLUSIVELOCK_NAME
#include "config.h"
#include "descent.h"
#include "environment.h"
#include "lockname.h"
#include "record.h"

#include <err.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libexlock.so"

struct options {
	const char *only;
	bool no_preload;
	bool path;
};

static struct options parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "no-preload", no_argument, NULL, 'P' },
		{ "path", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .only = "" };

	for (int letter; (letter = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
		if (letter == 'o')
			options.only = optarg;
		else if (letter == 'P')
			options.no_preload = true;
		else if (letter == 'p')
			options.path = true;
		else
			exit(CONFIG_EXIT_ERROR);
	}
	return options;
}

static struct config read_config(char path[PATH_MAX])
{
	struct config_error error;
	struct config config;
	struct lockname name;

	if (!config_parse(environ, &config, &error))
		errx(CONFIG_EXIT_ERROR, "%s='%s': %s", error.variable, error.value, error.why);
	name = (struct lockname){ .text = config.name };
	if (!config.name)
		errx(CONFIG_EXIT_ERROR, "EXCLUSIVELOCK_NAME is not set");
	if (lockname_path(&name, config.dir, getenv("TMPDIR"), path) == -1)
		err(CONFIG_EXIT_ERROR, "%s", config.dir ? config.dir : "TMPDIR");
	return config;
}

static bool holds(void)
{
	const char *pid = getenv(CONFIG_PREFIX "PID");
	const char *error = NULL;

	return pid && strtonum(pid, 1, INT32_MAX, &error) == getpid() && !error;
}

static bool is_flagged(const struct config *config)
{
	const char *held = getenv(CONFIG_PREFIX "HELD");

	return config->on_held == ON_HELD_FLAG && held && strcmp(held, "1") == 0;
}

// The shim lets a descendant of the holder pass by; it leaves no mark of that.
static bool is_descendant(const char *path)
{
	struct record record;
	struct stat status;

	return record_peek(path, &record, &status) == 0 &&
	       descent_by_ancestry(record_is_alive(&record) ? record.pid : 0, path);
}

// A preload that cannot be loaded, or is none of ours, is only a line of the loader's, or nothing at all.
static void check_lock(void)
{
	char path[PATH_MAX];
	struct config config = read_config(path);

	if (holds() || is_flagged(&config) || is_descendant(path))
		return;
	if (!config.run_on_error)
		errx(CONFIG_EXIT_ERROR, "%s was not loaded, or took no lock: nothing is started", getenv("LD_PRELOAD"));
	warnx("running unguarded, as EXCLUSIVELOCK_ON_ERROR says");
}

static void restore_environment(const struct options *options)
{
	const char *preload = getenv("LD_PRELOAD");

	if (options->only[0] != '\0')
		(void)setenv(CONFIG_PREFIX "ONLY", options->only, 1);
	if (options->no_preload)
		environment_strip_preload(environ, LIBRARY);
	if (preload && preload[0] == '\0')
		(void)unsetenv("LD_PRELOAD");
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	char path[PATH_MAX];

	setprogname("exlock-launch");
	if (options.path) {
		(void)read_config(path);
		return puts(path) < 0 || fflush(stdout) == EOF ? CONFIG_EXIT_ERROR : 0;
	}
	if (argc - optind < 2)
		errx(CONFIG_EXIT_ERROR, "no command");
	check_lock();
	restore_environment(&options);
	// Like execvp(3) it hands a script without "#!" to the shell.
	execvp(argv[optind], argv + optind + 1);
	err(errno == ENOENT ? CONFIG_EXIT_NOT_FOUND : CONFIG_EXIT_CANNOT_RUN, "%s", argv[optind + 1]);
}
