// SPDX-License-Identifier: MIT
// What is measured against each other: commands, one a line of the plan on standard input.
#ifndef EXLOCK_BENCH_VARIANT_H
#define EXLOCK_BENCH_VARIANT_H

#include <stddef.h>
#include <sys/types.h>

struct variant {
	char *label;
	int status;		// its exit status, when all goes well
	char **environment;	// our own, with what the plan says
	char **argv;
};

// Reads the plan: a line has a label, an exit status, NAME=VALUE for what is different in the environment (an empty value: not there),
// and the command, with tabs between. Stores where they are, and returns how many. Ends the program if there is none that can be understood.
size_t variant_read_all(struct variant **variants);

// Starts it, with nothing to read, and to write to nobody. Ends the program if it cannot be started.
pid_t variant_start(const struct variant *variant);

// Ends the program unless a process of this variant ended as it should: WAITED is what waitpid(2) stored.
void variant_check(const struct variant *variant, int waited);

#endif
