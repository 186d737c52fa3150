// SPDX-License-Identifier: MIT
#include "socketowner.h"

#include "pause.h"
#include "scratch.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

// The kernel's TCP_LISTEN, which says "listening" of every kind of socket, and what came with Linux 5.3.
#define STATE_LISTEN 10
#define SHOW_UID 0x40
#define ATTRIBUTE_UID 7
// How long is looked for it among other users' sockets, of which there may be any number.
#define SEARCH_NS UINT64_C(50000000)

struct search {
	const char *name;
	size_t length;
	uid_t uid;
	bool found;
};

// One socket: a fixed part, then attributes.
static void visit_socket(struct search *search, const struct nlmsghdr *message)
{
	const char *at = (const char *)message + NLMSG_SPACE(sizeof(struct unix_diag_msg));
	const char *end = (const char *)message + message->nlmsg_len;
	bool named = false, owned = false;
	uint32_t uid = 0;

	while (end - at >= NLA_HDRLEN) {
		struct nlattr attribute;

		memcpy(&attribute, at, sizeof(attribute));
		if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > end - at)
			break;
		if (attribute.nla_type == UNIX_DIAG_NAME && (size_t)attribute.nla_len - NLA_HDRLEN == search->length)
			named = memcmp(at + NLA_HDRLEN, search->name, search->length) == 0;
		else if (attribute.nla_type == ATTRIBUTE_UID && attribute.nla_len - NLA_HDRLEN == sizeof(uid))
			owned = memcpy(&uid, at + NLA_HDRLEN, sizeof(uid)) != NULL;
		at += NLA_ALIGN(attribute.nla_len);
	}
	if (named && owned) {
		search->uid = uid;
		search->found = true;
	}
}

// Returns whether there may be more.
static bool visit_answer(struct search *search, void *answer, size_t length)
{
	struct nlmsghdr *message = answer;

	for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
		if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			return false;
		visit_socket(search, message);
	}
	return !search->found;
}

bool socketowner_find(const struct sockaddr_un *address, socklen_t length, uid_t *uid)
{
	const struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} question = {
		.header = {
			.nlmsg_len = sizeof(question),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.request = {
			.sdiag_family = AF_UNIX,
			.udiag_states = 1 << STATE_LISTEN,
			.udiag_show = UDIAG_SHOW_NAME | SHOW_UID,
		},
	};
	struct search search = { .name = address->sun_path, .length = length - offsetof(struct sockaddr_un, sun_path) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	uint64_t end = pause_clock() + SEARCH_NS;
	char *answer = scratch_get();

	if (fd != -1 && answer && write(fd, &question, sizeof(question)) == sizeof(question)) {
		ssize_t got;

		while ((got = read(fd, answer, SCRATCH_SIZE)) > 0 && visit_answer(&search, answer, (size_t)got) && pause_clock() < end)
			;
	}
	scratch_free(answer);
	if (fd != -1)
		(void)close(fd);
	*uid = search.uid;
	return search.found;
}
