// SPDX-License-Identifier: MIT
// runner system|popen|posix_spawn|vfork|fork inherit|own COMMAND: runs the shell command the way named and returns its
// status. "own": first gives itself an environment of its own, with nothing but the library and the lock's name in it.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *kept(const char *name)
{
	char *value = getenv(name), *entry;

	if (!value || asprintf(&entry, "%s=%s", name, value) < 0)
		exit(99);
	return entry;
}

static void forget_marks(void)
{
	static char *own[5];

	own[0] = kept("LD_PRELOAD");
	own[1] = kept("EXCLUSIVELOCK_NAME");
	own[2] = kept("EXCLUSIVELOCK_DIR");
	own[3] = kept("PATH");
	environ = own;
}

static int spawned(char **argv)
{
	pid_t child;
	int status;

	if (posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ) != 0 || waitpid(child, &status, 0) < 0)
		return -1;
	return status;
}

static int forked(char **argv, int with_vfork)
{
	// NOLINTNEXTLINE(clang-analyzer-unix.Vfork,clang-analyzer-security.insecureAPI.vfork): one of the ways to be tested
	pid_t child = with_vfork ? vfork() : fork();
	int status;

	if (child == 0) {
		execve("/bin/sh", argv, environ);
		_exit(99);
	}
	return waitpid(child, &status, 0) < 0 ? -1 : status;
}

static int piped(const char *command)
{
	FILE *pipe = popen(command, "r");
	char line[256];

	if (!pipe)
		return -1;
	while (fgets(line, sizeof line, pipe))
		fputs(line, stdout);
	return pclose(pipe);
}

int main(int argc, char **argv)
{
	int status;

	if (argc != 4)
		return 99;
	char *shell[] = { "sh", "-c", argv[3], NULL };
	if (strcmp(argv[2], "own") == 0)
		forget_marks();
	if (strcmp(argv[1], "system") == 0)
		status = system(argv[3]);
	else if (strcmp(argv[1], "popen") == 0)
		status = piped(argv[3]);
	else if (strcmp(argv[1], "posix_spawn") == 0)
		status = spawned(shell);
	else
		status = forked(shell, strcmp(argv[1], "vfork") == 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
