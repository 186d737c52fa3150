// SPDX-License-Identifier: MIT
// One TCP connection that is passed on, and what is done to it.
#ifndef RELAY_H
#define RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum mode {
	PASS,
	DELAY,		// everything comes, but late
	DROP,		// nothing passes, in neither direction, and nobody is told; what was sent meanwhile comes when that is over
	MUTE,		// requests get through, the answers are lost
	REFUSE,		// connections are reset
	RENEWALS,	// renewals of leases get through and are answered, as by a leader that has lost the others; nothing else is
	LOSE,		// the next request with a certain text in it gets through; its connection is reset in the place of an answer
};

// What applies to all connections of one client to one member.
struct treatment {
	enum mode mode;
	int delay_ms;
	char text[64];		// see LOSE
	unsigned long requests;	// that came in with "POST " or "GET " at the beginning
	unsigned long bytes;	// both ways
	unsigned long lost;	// answers
};

struct relay;

// Takes the client's socket, and one for the member that may still be connecting.
struct relay *relay_new(int client, int member, struct treatment *treatment);

// What the connection waits for, in two entries for poll(2). Lowers *TIMEOUT_MS where it waits for the clock.
void relay_prepare(const struct relay *relay, struct pollfd wanted[2], int *timeout_ms);

// Moves what can be moved. False: the connection is over, and RELAY gone.
bool relay_move(struct relay *relay, const struct pollfd got[2]);

// To be called for every connection when the treatment has changed: one that has lost bytes cannot go on.
bool relay_is_broken(const struct relay *relay);
// Resets both ends.
void relay_reset(struct relay *relay);
const struct treatment *relay_treatment(const struct relay *relay);

#endif
