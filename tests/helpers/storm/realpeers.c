// SPDX-License-Identifier: MIT
// The real programs, which are slow to start: flock(1), and Python with its own protocol code. Python stops where peers.c
// looks for gaps, and asks the process that attends to it, which has the oracle for it.
#define _GNU_SOURCE
#include "gaps.h"
#include "peers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PYTHON_PATH "/usr/bin/python3"

void peers_exec_flock(const char *path, const char *storm, const char *folder, int slot)
{
	char number[24], seed[24];

	snprintf(number, sizeof number, "%d", slot);
	snprintf(seed, sizeof seed, "%ld", random());
	execlp("flock", "flock", "-n", "-E", "77", path, storm, "under-flock", folder, number, seed, NULL);
	_exit(BROKEN);
}

// Starts SCRIPT with a pipe to it and one from it, as standard input and output.
static pid_t start_python(const char *script, int *to, int *from)
{
	int down[2], up[2];
	pid_t child;

	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0 || (child = fork()) < 0)
		_exit(BROKEN);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(down[0], STDIN_FILENO);
		dup2(up[1], STDOUT_FILENO);
		// "-I -S": nothing of the machine's or the user's is loaded.
		execl(PYTHON_PATH, "python3", "-I", "-S", script, NULL);
		_exit(BROKEN);
	}
	close(down[0]);
	close(up[1]);
	*to = down[1];
	*from = up[0];
	return child;
}

// Python has its lockf on descriptor FD, and has read nothing yet. Leaves whether the file names somebody alive.
static enum gap look_for_gap(pid_t python, int fd, bool created, struct file *file, bool *alive)
{
	enum gap gap = NO_GAP;
	char path[64];
	long recorded;
	int ours;

	snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)python, fd);
	ours = open(path, O_RDONLY | O_CLOEXEC);
	if (ours < 0 || !find_file(ours, "", file))
		_exit(BROKEN);
	recorded = created ? -1 : gaps_read_pid(ours);
	*alive = gaps_is_alive(recorded);
	if (*alive)
		gaps_tell_visit(python, recorded);
	else
		gap = gaps_of_python(ours, file, created);
	close(ours);
	return gap;
}

__attribute__((noreturn)) static void stop(pid_t python, enum gap gap)
{
	int status;

	kill(python, SIGKILL);
	waitpid(python, &status, 0);
	gaps_withdraw(gap);
}

// The oracle must not outlast the process for which it is kept here.
static void leave(pid_t python, int to, bool calm)
{
	bool killed = !calm && one_in(4);

	gaps_get_out(!killed);
	if (killed)
		kill(python, SIGKILL);
	else
		(void)!write(to, "go\n", 3);
}

void peers_attend_python(const struct tally *tally, const char *script, int slot)
{
	int to, from, fd, status;
	pid_t python = start_python(script, &to, &from);
	char line[64], how;
	struct file file;
	bool alive = false;
	FILE *words = fdopen(from, "r");

	while (fgets(line, sizeof line, words)) {
		if (sscanf(line, "locked %d %c", &fd, &how) == 2) {
			enum gap gap = look_for_gap(python, fd, how == 'x', &file, &alive);

			if (gap != NO_GAP && gap != LAST_INSTANT)
				stop(python, gap);
			(void)!write(to, "go\n", 3);
		} else if (alive) {
			// It died before Python looked: which gap that was cannot be told any more.
			stop(python, UNSEEN);
		} else {
			gaps_enter(PYTHON, slot, &file);
			linger();
			leave(python, to, tally->calm);
		}
	}
	if (waitpid(python, &status, 0) != python)
		_exit(BROKEN);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}
