// SPDX-License-Identifier: MIT
// queue ROUNDS WAITERS <PLAN: a holder ends while so many wait for its lock, who came one after the other and leave at once. The
// variants, whose command is to be a subject -w, take turns. A line for each, with tabs: label, the median, 10th and 90th
// percentile, in microseconds, of the hand-over (from the end of the holder's main to the first waiter's) and of all together (from there until the
// last process has ended), and how many waiters, at most, were served before one that had come earlier.
#include "clock.h"
#include "samples.h"
#include "stamps.h"
#include "variant.h"
#include "waiting.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct measured {
	struct samples handover, total;
	int out_of_order;
};

static void reap(const struct variant *variant, pid_t *pids, int count)
{
	int waited;

	for (int i = 0; i < count; i++) {
		if (waitpid(pids[i], &waited, 0) != pids[i])
			err(2, "%s", variant->label);
		variant_check(variant, waited);
	}
}

// How many began before one of those who came earlier. The first is the holder.
static int count_out_of_order(const struct stamps *stamps, const pid_t *pids, int count)
{
	uint64_t earliest = UINT64_MAX;
	int found = 0;

	for (int i = count - 1; i > 0; i--) {
		const struct stamp *stamp = stamps_of(stamps, pids[i]);

		if (!stamp)
			errx(2, "a waiter that did not run");
		if (stamp->begun > earliest)
			found++;
		else
			earliest = stamp->begun;
	}
	return found;
}

static void run(const struct variant *variant, int waiters, struct stamps *stamps, struct measured *measured)
{
	pid_t *pids = calloc((size_t)waiters + 1, sizeof(*pids));
	uint64_t ended;
	int late;

	if (!pids)
		err(2, "processes");
	stamps_clear(stamps);
	pids[0] = variant_start(variant);
	while (stamps->waiting == 0)
		usleep(100);
	for (int i = 1; i <= waiters; i++) {
		pids[i] = variant_start(variant);
		waiting_await(pids[i], variant->label);
	}
	stamps_go(stamps);
	reap(variant, pids, waiters + 1);
	ended = clock_now();
	if (stamps->count != waiters + 1 || stamps->most != 1)
		errx(2, "%s: %d ran, %d at a time", variant->label, stamps->count, stamps->most);
	samples_add(&measured->handover, stamps->entries[1].begun - stamps->entries[0].ended);
	samples_add(&measured->total, ended - stamps->entries[0].ended);
	late = count_out_of_order(stamps, pids, waiters + 1);
	if (late > measured->out_of_order)
		measured->out_of_order = late;
	free(pids);
}

static void print_samples(struct samples *samples)
{
	samples_sort(samples);
	printf("\t%.1f\t%.1f\t%.1f", (double)samples_at(samples, 0.5) / 1e3, (double)samples_at(samples, 0.1) / 1e3,
		(double)samples_at(samples, 0.9) / 1e3);
}

int main(int argc, char **argv)
{
	struct stamps *stamps = stamps_create();
	int rounds = argc == 3 ? atoi(argv[1]) : 0, waiters = argc == 3 ? atoi(argv[2]) : 0;
	struct measured *measured;
	struct variant *variants;
	size_t count;

	if (rounds <= 0 || waiters <= 0 || waiters >= STAMPS_MAX)
		errx(2, "usage: queue ROUNDS WAITERS <PLAN");
	count = variant_read_all(&variants);
	measured = calloc(count, sizeof(*measured));
	if (!measured)
		err(2, "samples");
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++)
			run(&variants[(i + (size_t)round) % count], waiters, stamps, &measured[(i + (size_t)round) % count]);
	for (size_t i = 0; i < count; i++) {
		printf("%s", variants[i].label);
		print_samples(&measured[i].handover);
		print_samples(&measured[i].total);
		printf("\t%d\n", measured[i].out_of_order);
	}
	return 0;
}
