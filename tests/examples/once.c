// SPDX-License-Identifier: MIT
// The program that must not run twice: one line at the top of main. The name is the program's own path.
#include <exclusivelock.h>
#include <stdio.h>

int main(void)
{
	exclusivelock_die(NULL);
	puts("the only one");
	fflush(stdout);
	// Until standard input ends.
	while (getchar() != EOF)
		;
	return 0;
}
