// SPDX-License-Identifier: MIT
// What a holder says of itself in the value of its key, as JSON: host, PID, start time and command; and what its key says. Pure, but for the time.
#ifndef EXLOCK_CLUSTERVALUE_H
#define EXLOCK_CLUSTERVALUE_H

#include "etcdjson.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define CLUSTERVALUE_START_MAX 32
#define CLUSTERVALUE_COMMAND_MAX 1024

struct clustervalue {
	const char *host;
	pid_t pid;
	char *const *command;
};

// What could be read of another one's: etcdctl's keys have no value, and anybody may have written any.
struct clusterholder {
	pid_t pid;					// 0: not known
	char host[HOST_NAME_MAX + 1];			// "": not known
	char start[CLUSTERVALUE_START_MAX];		// likewise
	char command[CLUSTERVALUE_COMMAND_MAX];		// likewise
	bool done;					// it has ended, and the name stays taken until the lease ends
};

// The value, with now for its start; false: no memory.
bool clustervalue_write(const struct clustervalue *value, struct etcd_bytes *bytes);
// VALUE, of our own, as it is once the command has ended and the name stays taken.
bool clustervalue_write_done(const struct etcd_bytes *value, struct etcd_bytes *done);
struct clusterholder clustervalue_read(const struct etcd_bytes *bytes);

// The name of the lock that KEY, without the PREFIX bytes before it, is in the queue of; NULL: of none, or no memory. To be freed.
char *clustervalue_name(const struct etcd_bytes *key, size_t prefix);

#endif
