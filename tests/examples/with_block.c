// SPDX-License-Identifier: MIT
// Like Python's `with Lock(name="nightly"):`: the lock for a block, given back however the block is left.
#include <exclusivelock.h>
#include <stdio.h>

static int work(void)
{
	EXCLUSIVELOCK_SCOPE(lock, "nightly");

	if (!lock) {
		perror("nightly");
		return 1;
	}
	printf("working under %s\n", exclusivelock_path(lock));
	return 0;
}

int main(void)
{
	int status = work();

	// Given back: the function has returned.
	printf("holder now: %ld\n", (long)exclusivelock_holder("nightly"));
	return status;
}
