// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT, MEMBER };

// From one end to the other.
struct flow {
	char bytes[65536];
	size_t start, end;
	double due;		// when they may go on
	bool over;		// nothing more comes; said to the other end when ALL_SAID
	bool all_said;
};

struct relay {
	int end[2];
	struct flow flow[2];	// by the end that it comes from
	struct treatment *treatment;
	bool broken;		// bytes are missing, or the next answer is to be lost
	bool answer_is_to_be_lost;
	bool renews;		// the last request was a renewal
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct relay *relay_new(int client, int member, struct treatment *treatment)
{
	struct relay *relay = calloc(1, sizeof *relay);

	if (!relay)
		abort();
	relay->end[CLIENT] = client;
	relay->end[MEMBER] = member;
	relay->treatment = treatment;
	return relay;
}

const struct treatment *relay_treatment(const struct relay *relay)
{
	return relay->treatment;
}

bool relay_is_broken(const struct relay *relay)
{
	return relay->broken;
}

void relay_reset(struct relay *relay)
{
	const struct linger at_once = { .l_onoff = 1 };

	for (int end = CLIENT; end <= MEMBER; end++) {
		(void)setsockopt(relay->end[end], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(relay->end[end]);
	}
	free(relay);
}

void relay_prepare(const struct relay *relay, struct pollfd wanted[2], int *timeout_ms)
{
	for (int end = CLIENT; end <= MEMBER; end++) {
		const struct flow *in = &relay->flow[end], *out = &relay->flow[!end];
		int wait_ms = (int)((out->due - now()) * 1000) + 1;

		wanted[end] = (struct pollfd){ .fd = relay->end[end] };
		if (in->start == in->end && !in->over)
			wanted[end].events |= POLLIN;
		if (out->start < out->end && out->due <= now())
			wanted[end].events |= POLLOUT;
		else if (out->start < out->end && wait_ms < *timeout_ms)
			*timeout_ms = wait_ms;
		// Asked for nothing, poll would still report that the other side has hung up.
		if (relay->treatment->mode == DROP || !wanted[end].events)
			wanted[end].fd = -1;
	}
}

static void look_at_request(struct relay *relay, const struct flow *flow)
{
	struct treatment *treatment = relay->treatment;

	// One request at a time: each begins what was read.
	if (memmem(flow->bytes, flow->end, "POST ", 5) == flow->bytes) {
		treatment->requests++;
		relay->renews = memmem(flow->bytes, flow->end, "/v3/lease/keepalive", 19);
	}
	treatment->requests += memmem(flow->bytes, flow->end, "GET ", 4) == flow->bytes;
	if (treatment->mode == LOSE && memmem(flow->bytes, flow->end, treatment->text, strlen(treatment->text))) {
		relay->answer_is_to_be_lost = true;
		treatment->mode = PASS;
	}
}

// False: the connection is over.
static bool take_in(struct relay *relay, int end)
{
	struct treatment *treatment = relay->treatment;
	struct flow *flow = &relay->flow[end];
	ssize_t got = read(relay->end[end], flow->bytes, sizeof flow->bytes);

	if (got < 0)
		return errno == EAGAIN;
	flow->start = 0;
	flow->end = (size_t)got;
	flow->over = got == 0;
	flow->due = treatment->mode == DELAY ? now() + treatment->delay_ms / 1000.0 : 0;
	treatment->bytes += (size_t)got;
	if (end == CLIENT)
		look_at_request(relay, flow);
	if (treatment->mode == RENEWALS && !relay->renews) {
		relay->broken = true;
		flow->end = 0;
	}
	if (end == CLIENT)
		return true;
	if (relay->answer_is_to_be_lost || treatment->mode == MUTE) {
		treatment->lost += got > 0;
		relay->broken = true;
		flow->end = 0;
		// That it has hung up is lost, too.
		flow->all_said = flow->over;
	}
	return !relay->answer_is_to_be_lost;
}

static bool pass_on(struct relay *relay, int end)
{
	struct flow *flow = &relay->flow[!end];
	ssize_t sent = send(relay->end[end], flow->bytes + flow->start, flow->end - flow->start, MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EAGAIN;
	flow->start += (size_t)sent;
	return true;
}

static bool move_all(struct relay *relay, const struct pollfd got[2])
{
	for (int end = CLIENT; end <= MEMBER; end++) {
		int ready = got[end].fd >= 0 ? got[end].revents : 0;

		if (ready && (got[end].events & POLLOUT) && !pass_on(relay, end))
			return false;
		if (ready && (got[end].events & POLLIN) && !take_in(relay, end))
			return false;
	}
	for (int end = CLIENT; end <= MEMBER; end++) {
		struct flow *flow = &relay->flow[end];

		if (flow->over && flow->start == flow->end && !flow->all_said) {
			flow->all_said = true;
			(void)shutdown(relay->end[!end], SHUT_WR);
		}
	}
	return !relay->flow[CLIENT].all_said || !relay->flow[MEMBER].all_said;
}

bool relay_move(struct relay *relay, const struct pollfd got[2])
{
	if (move_all(relay, got))
		return true;
	relay_reset(relay);
	return false;
}
