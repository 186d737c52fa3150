// SPDX-License-Identifier: MIT
// start [-c CPU] ROUNDS SECONDS <PLAN: how long a start and end of each variant takes, in microseconds. Every round runs each of them once,
// in an order of its own, so that what else goes on with the machine hits all alike. There are fewer rounds when the time is up. A line
// for each variant and phase, with tabs: label, phase (total; and, of a program that says so in the stamps, start: until its main, and
// end: from the end of main), median, 10th and 90th percentile, the medians of the time that it had a CPU and of the page faults, and
// the rounds.
#include "clock.h"
#include "samples.h"
#include "stamps.h"
#include "variant.h"

#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_UP 2
#define FEWEST 3

enum phase { TOTAL, START, END, PHASES };

static const char *const phase_names[PHASES] = { "total", "start", "end" };

struct measured {
	struct samples phases[PHASES];
	struct samples faults, cpu;
};

static uint64_t nanoseconds(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

static void run(const struct variant *variant, struct stamps *stamps, struct measured *measured)
{
	const struct stamp *stamp = &stamps->entries[0];
	uint64_t began, ended;
	struct rusage usage;
	int waited;
	pid_t pid;

	stamps_clear(stamps);
	began = clock_now();
	pid = variant_start(variant);
	if (wait4(pid, &waited, 0, &usage) != pid)
		err(2, "%s", variant->label);
	ended = clock_now();
	variant_check(variant, waited);
	if (!measured)
		return;
	samples_add(&measured->phases[TOTAL], ended - began);
	samples_add(&measured->faults, (uint64_t)usage.ru_minflt);
	samples_add(&measured->cpu, nanoseconds(&usage.ru_utime) + nanoseconds(&usage.ru_stime));
	if (stamp->begun)
		samples_add(&measured->phases[START], stamp->begun - began);
	if (stamp->ended)
		samples_add(&measured->phases[END], ended - stamp->ended);
}

static void shuffle(size_t *order, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = (size_t)random() % i, swapped = order[i - 1];

		order[i - 1] = order[other];
		order[other] = swapped;
	}
}

struct effort {
	int rounds;
	uint64_t end;	// of the time for them
};

static void run_all(const struct variant *variants, size_t count, struct effort effort, struct stamps *stamps,
		    struct measured *measured)
{
	size_t *order = calloc(count, sizeof(*order));

	if (!order)
		err(2, "order");
	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (int round = -WARM_UP; round < effort.rounds && (round < FEWEST || clock_now() < effort.end); round++) {
		shuffle(order, count);
		for (size_t i = 0; i < count; i++)
			run(&variants[order[i]], stamps, round < 0 ? NULL : &measured[order[i]]);
	}
	free(order);
}

static void print(const struct variant *variant, struct measured *measured)
{
	samples_sort(&measured->faults);
	samples_sort(&measured->cpu);
	for (int phase = 0; phase < PHASES; phase++) {
		struct samples *samples = &measured->phases[phase];

		if (samples->count == 0)
			continue;
		samples_sort(samples);
		printf("%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%lu\t%zu\n", variant->label, phase_names[phase], (double)samples_at(samples, 0.5) / 1e3,
			(double)samples_at(samples, 0.1) / 1e3, (double)samples_at(samples, 0.9) / 1e3,
			(double)samples_at(&measured->cpu, 0.5) / 1e3, (unsigned long)samples_at(&measured->faults, 0.5), samples->count);
	}
}

// Where it is not allowed, the scheduler decides.
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == -1)
		warn("CPU %d", cpu);
}

int main(int argc, char **argv)
{
	struct stamps *stamps = stamps_create();
	struct measured *measured;
	struct variant *variants;
	struct effort effort = { 0 };
	size_t count;

	if (argc > 2 && strcmp(argv[1], "-c") == 0) {
		pin(atoi(argv[2]));
		argv += 2;
		argc -= 2;
	}
	if (argc == 3) {
		effort.rounds = atoi(argv[1]);
		effort.end = clock_now() + (uint64_t)(atof(argv[2]) * 1e9);
	}
	if (effort.rounds <= 0)
		errx(2, "usage: start [-c CPU] ROUNDS SECONDS <PLAN");
	count = variant_read_all(&variants);
	measured = calloc(count, sizeof(*measured));
	if (!measured)
		err(2, "samples");
	run_all(variants, count, effort, stamps, measured);
	for (size_t i = 0; i < count; i++)
		print(&variants[i], &measured[i]);
	return 0;
}
