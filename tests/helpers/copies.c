// SPDX-License-Identifier: MIT
// copies FILE [WORD...]: at each line of its standard input it does what the line says. "copy" starts this program anew, with the same command
// line; "copy WORD...": with these words; "late": when this process has given up its mapping of the lock file at its end; "as PATH": from
// another executable; "from PATH": from that one by its own name; "worker": by fork alone. Each writes its PID into FILE when it is ready,
// and waits for SIGTERM. "daemon": goes on in a child, as by daemon(3), whose parent ends by libc's own _exit(); "vfork": has a child by
// vfork(2) that calls _exit(); then it writes its own PID. "exit", "_exit", "kill": ends so. A copy whose first WORD is "master" has a
// worker, which writes its PID into FILE.worker.
#define _GNU_SOURCE
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>

#include "term.h"

enum { WORDS = 16 };

static void tell_pid(const char *file)
{
	char unfinished[4096];

	snprintf(unfinished, sizeof(unfinished), "%s.new", file);
	write_pid(unfinished);
	rename(unfinished, file);
}

static void stay(const char *file)
{
	tell_pid(file);
	await_term();
	exit(0);
}

static void begin_worker(const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s.worker", file);
	if (fork() == 0)
		stay(path);
}

static void start(const char *path, char *const *arguments)
{
	pid_t child;

	setenv("COPY", "1", 1);
	if (posix_spawn(&child, path, NULL, NULL, arguments, environ) != 0)
		exit(98);
	unsetenv("COPY");
}

static void copy(char **argv, char *words)
{
	char *arguments[WORDS] = { argv[0] }, *rest = NULL;
	int count = 1;

	for (char *word = strtok_r(words, " \n", &rest); word && count < WORDS - 1; word = strtok_r(NULL, " \n", &rest))
		arguments[count++] = word;
	start(argv[0], count > 1 ? arguments : argv);
}

static int has_lock_mapped(pid_t pid)
{
	char path[64], line[4096];
	int found = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%ld/maps", (long)pid);
	maps = fopen(path, "r");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "py_exclusivelock_") != NULL;
	if (maps)
		fclose(maps);
	return found;
}

static void copy_late(char **argv)
{
	pid_t parent = getpid();

	if (fork() != 0)
		return;
	while (has_lock_mapped(parent))
		usleep(2000);
	setenv("COPY", "1", 1);
	execv(argv[0], argv);
	_exit(98);
}

static void copy_from(char **argv, char *path, int by_name)
{
	char *name = argv[0];

	path[strcspn(path, "\n")] = '\0';
	argv[0] = by_name ? path : name;
	start(path, argv);
	argv[0] = name;
}

static void become_daemon(const char *file)
{
	pid_t parent = getpid();

	if (fork() != 0)
		syscall(SYS_exit_group, 0);
	setsid();
	while (getppid() == parent)
		usleep(1000);
	tell_pid(file);
}

static void end_in_vfork(const char *file)
{
	if (vfork() == 0)	// NOLINT(clang-analyzer-security.insecureAPI.vfork): it is what is tried
		_exit(0);
	tell_pid(file);
}

int main(int argc, char **argv)
{
	char line[4096];

	if (argc < 2)
		return 99;
	block_term();
	if (getenv("COPY") && argc > 2 && strcmp(argv[2], "master") == 0)
		begin_worker(argv[1]);
	if (getenv("COPY"))
		stay(argv[1]);
	printf("ready %ld\n", (long)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "copy", 4) == 0)
			copy(argv, line + 4);
		else if (strcmp(line, "late\n") == 0)
			copy_late(argv);
		else if (strncmp(line, "as ", 3) == 0)
			copy_from(argv, line + 3, 0);
		else if (strncmp(line, "from ", 5) == 0)
			copy_from(argv, line + 5, 1);
		else if (strcmp(line, "worker\n") == 0 && fork() == 0)
			stay(argv[1]);
		else if (strcmp(line, "daemon\n") == 0)
			become_daemon(argv[1]);
		else if (strcmp(line, "vfork\n") == 0)
			end_in_vfork(argv[1]);
		else if (strcmp(line, "exit\n") == 0)
			exit(7);
		else if (strcmp(line, "_exit\n") == 0)
			_exit(7);
		else if (strcmp(line, "kill\n") == 0)
			raise(SIGKILL);
	}
	return 97;
}
