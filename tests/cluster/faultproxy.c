// SPDX-License-Identifier: MIT
// faultproxy NAME=PORT...: stands between clients and the members of a cluster. Each NAME is a way to what listens at PORT of the
// loopback, by a port of its own; it prints "NAME PORT" for each, and a dot. Then every line on standard input is
//
//	PATTERN pass | delay MS | drop | mute | refuse | renewals | lose TEXT | count
//
// for all the NAMEs that fnmatch(3) PATTERN (relay.h says what each does). Each is answered by a line: how many ways it was, or their
// requests, bytes and lost answers. It ends with its standard input.
#define _GNU_SOURCE
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAYS = 64, RELAYS = 1024, BACKLOG = 64, FOREVER_MS = 60000 };

static struct way {
	char name[32];
	in_port_t member;
	int listener;
	struct treatment treatment;
} ways[WAYS];
static int way_count;

static struct relay *relays[RELAYS];
static int relay_count;

__attribute__((noreturn)) static void fail(const char *what)
{
	perror(what);
	exit(99);
}

static struct sockaddr_in loopback(in_port_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void add_way(const char *argument)
{
	struct way *way = &ways[way_count++];
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof address;
	const char *port = strchr(argument, '=');

	if (way_count == WAYS || !port || port - argument >= (int)sizeof way->name)
		exit(99);
	memcpy(way->name, argument, (size_t)(port - argument));
	way->member = (in_port_t)atoi(port + 1);
	way->listener = open_socket();
	if (bind(way->listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(way->listener, BACKLOG) < 0 ||
	    getsockname(way->listener, (struct sockaddr *)&address, &size) < 0)
		fail("listen");
	printf("%s %d\n", way->name, ntohs(address.sin_port));
}

static void accept_one(struct way *way)
{
	struct sockaddr_in address = loopback(way->member);
	int client = accept4(way->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), member, on = 1;
	struct relay *relay;

	if (client < 0)
		return;
	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	member = open_socket();
	relay = relay_new(client, member, &way->treatment);
	if (relay_count == RELAYS || way->treatment.mode == REFUSE ||
	    (connect(member, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS))
		relay_reset(relay);
	else
		relays[relay_count++] = relay;
}

// What of the connections cannot go on under the new treatment.
static void reset_some(const struct way *way)
{
	for (int i = relay_count - 1; i >= 0; i--)
		if (relay_treatment(relays[i]) == &way->treatment && (way->treatment.mode == REFUSE || relay_is_broken(relays[i]))) {
			relay_reset(relays[i]);
			relays[i] = relays[--relay_count];
		}
}

static void treat(struct way *way, enum mode mode, const char *argument)
{
	way->treatment.mode = mode;
	way->treatment.delay_ms = atoi(argument);
	strcpy(way->treatment.text, argument);
	// With one connection waiting to be accepted, the kernel drops what comes: no word, as from a network that is cut.
	(void)listen(way->listener, mode == DROP ? 0 : BACKLOG);
	reset_some(way);
}

static void obey(const char *line)
{
	static const char *const words[] = { "pass", "delay", "drop", "mute", "refuse", "renewals", "lose" };
	char pattern[32], word[16], argument[64] = "";
	unsigned long requests = 0, bytes = 0, lost = 0;
	int matched = 0;

	if (sscanf(line, "%31s %15s %63s", pattern, word, argument) < 2)
		return;
	for (struct way *way = ways; way < ways + way_count; way++) {
		if (fnmatch(pattern, way->name, 0) != 0)
			continue;
		matched++;
		requests += way->treatment.requests;
		bytes += way->treatment.bytes;
		lost += way->treatment.lost;
		for (int mode = PASS; mode <= LOSE; mode++)
			if (strcmp(word, words[mode]) == 0)
				treat(way, (enum mode)mode, argument);
	}
	if (strcmp(word, "count") == 0)
		printf("%lu %lu %lu\n", requests, bytes, lost);
	else
		printf("%d\n", matched);
}

static void read_commands(void)
{
	static char text[4096];
	static size_t length;
	ssize_t got = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
	char *line = text, *end;

	if (got <= 0)
		exit(0);
	length += (size_t)got;
	text[length] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		obey(line);
	}
	length = strlen(line);
	memmove(text, line, length);
}

static void serve(void)
{
	static struct pollfd polled[1 + WAYS + 2 * RELAYS];
	struct pollfd *of_ways = polled + 1, (*of_relays)[2] = (struct pollfd (*)[2])(of_ways + way_count);
	int timeout_ms = FOREVER_MS, count = relay_count;

	polled[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	for (int i = 0; i < way_count; i++)
		of_ways[i] = (struct pollfd){ .fd = ways[i].treatment.mode == DROP ? -1 : ways[i].listener, .events = POLLIN };
	for (int i = 0; i < count; i++)
		relay_prepare(relays[i], of_relays[i], &timeout_ms);
	if (poll(polled, 1 + (nfds_t)way_count + 2 * (nfds_t)count, timeout_ms) < 0 && errno != EINTR)
		fail("poll");
	// From the end: what takes the place of one that is over has had its turn.
	for (int i = count - 1; i >= 0; i--)
		if (!relay_move(relays[i], of_relays[i]))
			relays[i] = relays[--relay_count];
	for (int i = 0; i < way_count; i++)
		if (of_ways[i].fd >= 0 && of_ways[i].revents)
			accept_one(&ways[i]);
	if (polled[0].revents)
		read_commands();
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		add_way(argv[i]);
	puts(".");
	for (;;)
		serve();
}
