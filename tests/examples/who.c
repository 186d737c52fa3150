// SPDX-License-Identifier: MIT
// Says who holds the lock, as far as that is known.
#include <exclusivelock.h>
#include <stdio.h>

int main(void)
{
	struct exclusivelock_status status = { .size = sizeof(status) };

	if (exclusivelock_info("nightly", NULL, &status) == -1) {
		perror("nightly");
		return 1;
	}
	if (status.pid == 0)
		puts("nobody");
	else
		printf("pid %ld: %s (%d waiting)\n", (long)status.pid, status.command, status.waiting);
	return 0;
}
