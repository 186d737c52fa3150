// SPDX-License-Identifier: MIT
#include "descriptors.h"

#include "lease.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void silence_standard_ones(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null != -1 && fd <= 2; fd++)
		if (fd != null && (fd < 2 || fcntl(fd, F_GETFD) == -1))
			(void)dup2(null, fd);
}

// The lowest of KEPT from LOWEST on; -1: none.
static int next_kept(const int *kept, size_t count, int lowest)
{
	int next = -1;

	for (size_t i = 0; i < count; i++)
		if (kept[i] >= lowest && (next == -1 || kept[i] < next))
			next = kept[i];
	return next;
}

void descriptors_let_go(const int *kept, size_t count)
{
	int lowest = STDERR_FILENO + 1, next;

	silence_standard_ones();
	while ((next = next_kept(kept, count, lowest)) != -1) {
		if (next > lowest)
			(void)close_range((unsigned)lowest, (unsigned)next - 1, 0);
		lowest = next + 1;
	}
	(void)close_range((unsigned)lowest, ~0U, 0);
}

int timer_open(void)
{
	return timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
}

void timer_set(int timer, uint64_t until)
{
	const struct itimerspec time = {
		.it_value = { .tv_sec = (time_t)(until / LEASE_SECOND), .tv_nsec = (long)(until % LEASE_SECOND) },
	};
	const struct itimerspec never = { .it_value = { 0 } };

	(void)timerfd_settime(timer, TFD_TIMER_ABSTIME, until == UINT64_MAX ? &never : &time, NULL);
}
