// SPDX-License-Identifier: MIT
// steps STEP...: does one step after another, also where no library can be preloaded (steps-static).
//
//	list		says which descriptors above 2 are open, and what they are: one line each
//	spoil		tries to write to each of them, and to cut its file; says so where that succeeds
//	close		closes them
//	use FILE	puts FILE in the place of each of them
//	enter FOLDER	makes FOLDER the root, and its working directory
//	name NAME	gives itself another lock's name in the environment
//	die		ends by SIGKILL
//	fork		goes on in a child, and ends as that does
//	leave		goes on in a child when the parent has ended by _exit()
//	exec COMMAND...	calls execvp(3)
//	vfork COMMAND...	the same in a child by vfork(2), and ends as that does
//	hold		says "ready PID", and ends by exit() at SIGTERM
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "term.h"

static void list(int fd)
{
	char path[64], target[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof target);
	printf("%d %.*s\n", fd, (int)(length < 0 ? 0 : length), target);
}

static void spoil(int fd)
{
	if (write(fd, "1", 1) == 1)
		printf("%d was written\n", fd);
	if (ftruncate(fd, 0) == 0)
		printf("%d was cut\n", fd);
}

static void close_it(int fd)
{
	close(fd);
}

static const char *used;

static void use(int fd)
{
	int other = open(used, O_RDONLY);

	if (other < 0 || dup2(other, fd) < 0)
		_exit(98);
	close(other);
}

static void for_each(void (*what)(int fd))
{
	int fds[1024], count = 0;
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!folder)
		_exit(97);
	while ((entry = readdir(folder)) && count < 1024)
		if (atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(folder))
			fds[count++] = atoi(entry->d_name);
	closedir(folder);
	for (int i = 0; i < count; i++)
		what(fds[i]);
	fflush(stdout);
}

static void end_as(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) < 0)
		_exit(96);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void leave(void)
{
	pid_t parent = getpid();

	if (fork() > 0)
		_exit(0);
	while (getppid() == parent)
		usleep(1000);
}

static void run(char **command, int in_child)
{
	// NOLINTNEXTLINE(clang-analyzer-unix.Vfork,clang-analyzer-security.insecureAPI.vfork): one of the ways to be tested
	pid_t child = in_child ? vfork() : 0;

	if (child > 0)
		end_as(child);
	execvp(command[0], command);
	_exit(95);
}

int main(int argc, char **argv)
{
	block_term();
	for (int i = 1; i < argc; i++) {
		const char *step = argv[i];
		pid_t child;

		if (strcmp(step, "list") == 0)
			for_each(list);
		else if (strcmp(step, "spoil") == 0)
			for_each(spoil);
		else if (strcmp(step, "close") == 0)
			for_each(close_it);
		else if (strcmp(step, "use") == 0 && (used = argv[++i]))
			for_each(use);
		else if (strcmp(step, "enter") == 0 && argv[++i] && (chroot(argv[i]) < 0 || chdir("/") < 0))
			return 94;
		else if (strcmp(step, "name") == 0 && argv[++i])
			setenv("EXCLUSIVELOCK_NAME", argv[i], 1);
		else if (strcmp(step, "die") == 0)
			raise(SIGKILL);
		else if (strcmp(step, "fork") == 0 && (child = fork()) > 0)
			end_as(child);
		else if (strcmp(step, "leave") == 0)
			leave();
		else if (strcmp(step, "exec") == 0 || strcmp(step, "vfork") == 0)
			run(argv + i + 1, step[0] == 'v');
		else if (strcmp(step, "hold") == 0) {
			printf("ready %ld\n", (long)getpid());
			fflush(stdout);
			await_term();
		}
	}
	return 0;
}
