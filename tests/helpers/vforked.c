// SPDX-License-Identifier: MIT
// A child by vfork(2), whose exec fails, ends by exit(3), which runs its parent's handlers; the parent goes on, prints and ends with 7.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	const char *file;
	pid_t child;
	int status;

	printf("before\n");
	child = vfork();	// NOLINT(clang-analyzer-security.insecureAPI.vfork): that is what is tried
	if (child == 0) {
		execl("/no/such/program", "program", (char *)NULL);
		exit(127);	// NOLINT(clang-analyzer-unix.Vfork): likewise
	}
	if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 127)
		return 3;
	file = getenv("EXCLUSIVELOCK_LOCKFILE");
	printf("held %d\n", file && access(file, F_OK) == 0);
	return 7;
}
