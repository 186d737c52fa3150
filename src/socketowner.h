// SPDX-License-Identifier: MIT
// Whose a listening socket is, without connecting to it.
#ifndef EXLOCK_SOCKETOWNER_H
#define EXLOCK_SOCKETOWNER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

// Asks the kernel, by NETLINK_SOCK_DIAG, for the user who made the socket that listens at ADDRESS. False: it does not tell, or not
// within 50 ms.
bool socketowner_find(const struct sockaddr_un *address, socklen_t length, uid_t *uid);

#endif
