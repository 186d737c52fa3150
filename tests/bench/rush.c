// SPDX-License-Identifier: MIT
// rush ROUNDS STARTS <PLAN: so many processes become a variant's command, a subject, in the same instant. The variants take turns; the exit
// status in the plan is that of one that is refused. A line for each, with tabs: label, the median, 10th and 90th percentile, in
// milliseconds, of the time until all have ended, and how many ran: the fewest and the most in a round, and the most at a time.
#include "clock.h"
#include "samples.h"
#include "stamps.h"
#include "variant.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct measured {
	struct samples total;
	int fewest, most, at_a_time;
};

static void become(const struct variant *variant, struct stamps *stamps)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
	stamps_wait(stamps);
	execve(variant->argv[0], variant->argv, variant->environment);
	_exit(127);
}

static void run(const struct variant *variant, int starts, struct stamps *stamps, struct measured *measured)
{
	uint64_t began;
	int waited;

	stamps_clear(stamps);
	for (int i = 0; i < starts; i++) {
		pid_t pid = fork();

		if (pid == -1)
			err(2, "fork");
		if (pid == 0)
			become(variant, stamps);
	}
	while (stamps->waiting < starts)
		usleep(1000);
	began = clock_now();
	stamps_go(stamps);
	while (wait(&waited) > 0)
		if (!WIFEXITED(waited) || WEXITSTATUS(waited) != 0)
			variant_check(variant, waited);
	samples_add(&measured->total, clock_now() - began);
	if (stamps->count < measured->fewest)
		measured->fewest = stamps->count;
	if (stamps->count > measured->most)
		measured->most = stamps->count;
	if (stamps->most > measured->at_a_time)
		measured->at_a_time = stamps->most;
}

int main(int argc, char **argv)
{
	struct stamps *stamps = stamps_create();
	int rounds = argc == 3 ? atoi(argv[1]) : 0, starts = argc == 3 ? atoi(argv[2]) : 0;
	struct measured *measured;
	struct variant *variants;
	size_t count;

	if (rounds <= 0 || starts <= 0)
		errx(2, "usage: rush ROUNDS STARTS <PLAN");
	count = variant_read_all(&variants);
	measured = calloc(count, sizeof(*measured));
	if (!measured)
		err(2, "samples");
	for (size_t i = 0; i < count; i++)
		measured[i].fewest = INT_MAX;
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++)
			run(&variants[(i + (size_t)round) % count], starts, stamps, &measured[(i + (size_t)round) % count]);
	for (size_t i = 0; i < count; i++) {
		struct samples *total = &measured[i].total;

		samples_sort(total);
		printf("%s\t%.1f\t%.1f\t%.1f\t%d\t%d\t%d\n", variants[i].label, (double)samples_at(total, 0.5) / 1e6,
			(double)samples_at(total, 0.1) / 1e6, (double)samples_at(total, 0.9) / 1e6, measured[i].fewest,
			measured[i].most, measured[i].at_a_time);
	}
	return 0;
}
