// SPDX-License-Identifier: MIT
#include "variant.h"

#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIELDS 64

static size_t split(char *line, char **fields)
{
	size_t count = 0;
	char *field;

	line[strcspn(line, "\n")] = '\0';
	while ((field = strsep(&line, "\t")))
		if (count < FIELDS - 1)
			fields[count++] = field;
	fields[count] = NULL;
	return count;
}

static bool is_assignment(const char *field)
{
	const char *sign = strchr(field, '=');

	return sign && sign != field && strcspn(field, "/ ") > (size_t)(sign - field);
}

// Whether two entries of an environment are about the same variable.
static bool same_variable(const char *left, const char *right)
{
	size_t length = strcspn(left, "=");

	return strncmp(left, right, length) == 0 && right[length] == '=';
}

// Our own environment with CHANGES, which end before COUNT.
static char **changed_environment(char **changes, size_t count)
{
	size_t own = 0, kept = 0;
	char **result;

	while (environ[own])
		own++;
	result = calloc(own + count + 1, sizeof(*result));
	if (!result)
		err(2, "environment");
	for (size_t i = 0; i < own; i++) {
		size_t change = 0;

		while (change < count && !same_variable(changes[change], environ[i]))
			change++;
		if (change == count)
			result[kept++] = environ[i];
	}
	for (size_t i = 0; i < count; i++)
		if (strchr(changes[i], '=')[1] != '\0')
			result[kept++] = changes[i];
	return result;
}

static void parse(char *line, struct variant *variant)
{
	char *fields[FIELDS];
	size_t count = split(line, fields), first = 2;

	if (count < 3)
		errx(2, "not a line of a plan: %s", line);
	while (first < count && is_assignment(fields[first]))
		first++;
	if (first == count)
		errx(2, "no command: %s", fields[0]);
	variant->label = fields[0];
	variant->status = atoi(fields[1]);
	variant->environment = changed_environment(fields + 2, first - 2);
	variant->argv = calloc(count - first + 1, sizeof(*variant->argv));
	if (!variant->argv)
		err(2, "arguments");
	memcpy(variant->argv, fields + first, (count - first) * sizeof(*variant->argv));
}

size_t variant_read_all(struct variant **variants)
{
	size_t count = 0;
	char *line = NULL;
	size_t room = 0;

	*variants = NULL;
	while (getline(&line, &room, stdin) > 0) {
		*variants = reallocarray(*variants, count + 1, sizeof(**variants));
		if (!*variants)
			err(2, "variants");
		parse(line, &(*variants)[count++]);
		// The variant goes on pointing into it.
		line = NULL;
		room = 0;
	}
	if (count == 0)
		errx(2, "an empty plan");
	return count;
}

pid_t variant_start(const struct variant *variant)
{
	static posix_spawn_file_actions_t actions;
	static bool prepared;
	pid_t pid;
	int error;

	if (!prepared) {
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
		posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
		prepared = true;
	}
	error = posix_spawn(&pid, variant->argv[0], &actions, NULL, variant->argv, variant->environment);
	if (error)
		errx(2, "%s: %s", variant->argv[0], strerror(error));
	return pid;
}

void variant_check(const struct variant *variant, int waited)
{
	if (WIFEXITED(waited) && WEXITSTATUS(waited) == variant->status)
		return;
	if (WIFEXITED(waited))
		errx(2, "%s: ended with %d, not %d", variant->label, WEXITSTATUS(waited), variant->status);
	errx(2, "%s: ended by signal %d", variant->label, WTERMSIG(waited));
}
