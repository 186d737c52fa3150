// SPDX-License-Identifier: MIT
// exlockctl: who holds what. It looks, and never takes a lock, not even for an instant.
#ifdef EXLOCK_CLUSTER
#include "clusterlist.h"
#endif
#include "config.h"
#include "listing.h"
#include "lockname.h"
#include "pause.h"
#include "shown.h"
#include "watch.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_FREE 1
#define EXIT_TIMEOUT 1

struct request {
	const char *directory;	// NULL: the default
	bool json;
	bool names;
	bool cluster;
	uint64_t timeout_ns;
};

static void usage(FILE *stream)
{
	(void)fputs("usage: exlockctl [OPTION...] list\n"
	      "       exlockctl [OPTION...] status|path|wait NAME\n"
	      "\n"
	      "Shows who holds which lock; takes none.\n"
	      "\n"
	      "  list                   all lock files: name, state, PID, user, since when, command\n"
	      "  status NAME            one lock; exit status 0: held, 1: free\n"
	      "  path NAME              the path of its lock file\n"
	      "  wait NAME              wait until it is free\n"
	      "\n"
	      "  -d, --dir DIR          directory of the lock files (default: /var/lock)\n"
	      "  -u, --user             in the directory of your own, as exlock-launch --user\n"
	      "  -j, --json             for programs: list and status as JSON\n"
	      "  -1, --names            list: the names alone, a line each\n"
	      "  -t, --timeout SECONDS  wait that long at most, then exit with 1\n"
	      "      --cluster[=ENDPOINTS]  list, status: of a whole cluster, by etcd at HOST:PORT,...\n"
	      "      --cluster-prefix PREFIX  of those whose names have it before them in etcd\n"
	      "  -h, --help             this text\n"
	      "  -V, --version          the version\n"
	      "\n"
	      "NAME is what was given to exlock-launch --name; of a program without a name\n"
	      "its absolute path. Exit status 125: an error.\n", stream);
}

static enum lockdir_kind find_path(const struct request *request, const char *name, char path[PATH_MAX])
{
	const struct lockname lockname = { .text = name };
	struct lockdir found;

	if (lockname_path(&lockname, request->directory, environ, path, &found) == -1)
		err(CONFIG_EXIT_ERROR, "%s", request->directory ? shown(request->directory) : "the lock directory");
	if (found.why)
		errx(CONFIG_EXIT_ERROR, "%s: %s", shown(path), found.why);
	return found.kind;
}

// The same for a command that looks at it.
static enum lockdir_kind find_path_to_look(const struct request *request, const char *name, char path[PATH_MAX])
{
	enum lockdir_kind kind = find_path(request, name, path);

	if (kind == LOCKDIR_TEMPORARY)
		warnx("there is no directory /var/lock. What is looked at is %s (with another TMPDIR it is something else; --dir settles it)",
		      shown(path));
	return kind;
}

static int path(const struct request *request, const char *name)
{
	char lock_path[PATH_MAX];

	(void)find_path(request, name, lock_path);
	puts(lock_path);
	return 0;
}

#ifdef EXLOCK_CLUSTER
static enum clusterlist_form form_of(const struct request *request)
{
	if (request->names)
		return CLUSTERLIST_NAMES;
	return request->json ? CLUSTERLIST_JSON : CLUSTERLIST_PEOPLE;
}

static int cluster_list(const struct request *request, const char *unused)
{
	(void)unused;
	clusterlist_all(form_of(request));
	return 0;
}

static int cluster_status(const struct request *request, const char *name)
{
	return clusterlist_one(name, form_of(request)) ? 0 : EXIT_FREE;
}
#else
static _Noreturn int cluster_list(const struct request *request, const char *unused)
{
	(void)request;
	(void)unused;
	errx(CONFIG_EXIT_ERROR, "--cluster: exlock was built without it (meson setup -Dcluster=enabled; needs libcurl)");
}
#define cluster_status cluster_list
#endif

static int status(const struct request *request, const char *name)
{
	char lock_path[PATH_MAX];
	struct entry entry;
	enum survey_state state;

	(void)find_path_to_look(request, name, lock_path);
	entry_look(&entry, lock_path, name, strlen(name), false);
	state = entry.survey.state;
	if (request->json)
		listing_json_one(&entry);
	else
		listing_sentence(&entry);
	entry_free(&entry);
	if (state == SURVEY_FOREIGN || state == SURVEY_UNREADABLE)
		return CONFIG_EXIT_ERROR;
	return survey_is_held(state) ? 0 : EXIT_FREE;
}

static int wait_until_free(const struct request *request, const char *name)
{
	uint64_t now = pause_clock();
	uint64_t deadline = request->timeout_ns < UINT64_MAX - now ? now + request->timeout_ns : UINT64_MAX;
	char lock_path[PATH_MAX];
	struct survey survey;

	(void)find_path_to_look(request, name, lock_path);
	while (survey_is_held((survey = survey_look(lock_path)).state)) {
		if (pause_clock() >= deadline)
			return EXIT_TIMEOUT;
		watch_holder(survey.pid, lock_path, deadline, -1);
	}
	if (survey.state == SURVEY_UNREADABLE)
		errno = survey.error, err(CONFIG_EXIT_ERROR, "%s", shown(lock_path));
	return 0;
}

// The directory of the lock files, as long as the name of a file in it.
static enum lockdir_kind find_directory(const struct request *request, char directory[PATH_MAX])
{
	enum lockdir_kind kind = find_path_to_look(request, "", directory);

	*strrchr(directory, '/') = '\0';
	return kind;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_lock_file(const struct dirent *file)
{
	char name[NAME_MAX + 1];
	bool cut;

	return lockname_of_file(file->d_name, name, &cut) >= 0;
}

static int list(const struct request *request, const char *unused)
{
	char directory[PATH_MAX], lock_path[PATH_MAX + NAME_MAX + 1], name[NAME_MAX + 1];
	struct entry *entries;
	struct dirent **files = NULL;
	enum lockdir_kind kind;
	int count;
	size_t seen = 0;

	(void)unused;
	kind = find_directory(request, directory);
	count = scandir(directory, &files, is_lock_file, by_name);
	// The first start that asks for it makes a user's own directory.
	if (count == -1 && errno == ENOENT && kind == LOCKDIR_OWN)
		count = 0;
	if (count == -1)
		err(CONFIG_EXIT_ERROR, "%s", shown(directory));
	entries = calloc((size_t)count + 1, sizeof(*entries));
	if (!entries)
		err(CONFIG_EXIT_ERROR, "memory");
	for (int i = 0; i < count; i++) {
		bool cut;
		ssize_t length = lockname_of_file(files[i]->d_name, name, &cut);

		(void)snprintf(lock_path, sizeof(lock_path), "%s/%s", directory, files[i]->d_name);
		entry_look(&entries[seen], lock_path, name, (size_t)length, cut);
		free(files[i]);
		// Gone since the directory was read.
		if (entries[seen].survey.state == SURVEY_FREE)
			entry_free(&entries[seen]);
		else
			seen++;
	}
	free(files);
	if (request->names)
		listing_names(entries, seen);
	else if (request->json)
		listing_json(entries, seen);
	else
		listing_table(entries, seen);
	for (size_t i = 0; i < seen; i++)
		entry_free(&entries[i]);
	free(entries);
	return 0;
}

// The variables that exlock-launch and the library understand are understood here in the same way.
static void take_settings(const char *variable, const char *value, struct request *request)
{
	char *setting;
	struct config config;
	struct config_error error;

	if (asprintf(&setting, CONFIG_PREFIX "%s=%s", variable, value) == -1)
		err(CONFIG_EXIT_ERROR, "memory");
	if (!config_parse((char *[]){ setting, NULL }, &config, &error))
		errx(CONFIG_EXIT_ERROR, "'%s': %s", shown(error.value), error.why);
	if (config.dir)
		request->directory = config.dir;
	if (config.timeout_ns != UINT64_MAX)
		request->timeout_ns = config.timeout_ns;
}

// getopt(3) itself would show it as it is.
static _Noreturn void refuse_option(const char *argument)
{
	const char letter[] = { '-', (char)optopt, '\0' };

	errx(CONFIG_EXIT_ERROR, "'%s': no such option, or its argument is wrong or missing (see exlockctl --help)",
	     shown(optopt ? letter : argument));
}

static void parse_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' }, { "user", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' }, { "names", no_argument, NULL, '1' }, { "timeout", required_argument, NULL, 't' },
		{ "cluster", optional_argument, NULL, 'c' },
		{ "cluster-prefix", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 },
	};
	int letter;

	opterr = 0;
	while ((letter = getopt_long(argc, argv, "d:uj1t:hV", options, NULL)) != -1) {
		if (letter == 'd')
			take_settings("DIR", optarg, request);
		else if (letter == 'u')
			take_settings("DIR", LOCKDIR_WORD, request);
		else if (letter == 'j')
			request->json = true;
		else if (letter == '1')
			request->names = true;
		else if (letter == 't')
			take_settings("TIMEOUT", optarg, request);
		else if (letter == 'c')
			request->cluster = !optarg || !optarg[0] || setenv(CONFIG_PREFIX "CLUSTER", optarg, 1) == 0;
		else if (letter == 'p')
			(void)setenv(CONFIG_PREFIX "CLUSTER_PREFIX", optarg ? optarg : "", 1);
		else if (letter == 'h')
			exit((usage(stdout), 0));
		else if (letter == 'V')
			exit((puts("exlockctl " EXLOCK_VERSION), 0));
		else
			refuse_option(argv[optind - 1]);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		int (*run)(const struct request *request, const char *name);
		int (*run_in_cluster)(const struct request *request, const char *name);
	} commands[] = { { "list", 0, list, cluster_list }, { "status", 1, status, cluster_status }, { "path", 1, path, NULL },
			 { "wait", 1, wait_until_free, NULL } };
	struct request request = { .timeout_ns = UINT64_MAX };
	const char *environment = getenv(CONFIG_PREFIX "DIR");

	if (environment && environment[0])
		take_settings("DIR", environment, &request);
	parse_options(argc, argv, &request);
	for (size_t i = 0; optind < argc && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(argv[optind], commands[i].name) != 0)
			continue;
		if (argc - optind - 1 != commands[i].arguments)
			errx(CONFIG_EXIT_ERROR, commands[i].arguments ? "%s needs one NAME (see exlockctl --help)" :
			     "%s takes no NAME (see exlockctl --help)", commands[i].name);
		if (request.cluster && !commands[i].run_in_cluster)
			errx(CONFIG_EXIT_ERROR, "%s is of this machine alone: --cluster goes with list and status", commands[i].name);
		int result = (request.cluster ? commands[i].run_in_cluster : commands[i].run)(&request, argv[optind + 1]);
		if (fflush(stdout) != 0)
			err(CONFIG_EXIT_ERROR, "standard output");
		return result;
	}
	errx(CONFIG_EXIT_ERROR, optind < argc ? "unknown command '%s' (see exlockctl --help)" : "no command (see exlockctl --help)",
	     optind < argc ? shown(argv[optind]) : "");
}
