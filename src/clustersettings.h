// SPDX-License-Identifier: MIT
// Which cluster, and who we are there: EXCLUSIVELOCK_CLUSTER* of an environment, understood. Pure, but for the host's name and the
// password's file.
#ifndef EXLOCK_CLUSTERSETTINGS_H
#define EXLOCK_CLUSTERSETTINGS_H

#include "config.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_ENDPOINTS_MAX 16
#define CLUSTER_PASSWORD_MAX 256

// Strings point into the environment, but for those in arrays.
struct clustersettings {
	char *endpoints[CLUSTER_ENDPOINTS_MAX];		// URLs without a slash at their end
	size_t count;
	unsigned ttl;					// seconds
	uint64_t at_least;				// nanoseconds; 0: the name is free when the command has ended
	bool even_on_failure;
	const char *cacert, *cert, *key;		// files; NULL: none
	const char *user;				// NULL: none
	char password[CLUSTER_PASSWORD_MAX];
	const char *password_file;			// that it was read from; NULL: none
	const char *prefix;
	char host[HOST_NAME_MAX + 1];
};

// Fills SETTINGS from ENVIRONMENT. False: ERROR says what is wrong; its texts are the environment's, or static memory.
bool clustersettings_read(char *const *environment, struct clustersettings *settings, struct config_error *error);
void clustersettings_free(struct clustersettings *settings);

// Reads a password from the file PATH: one line, without its end. Returns NULL, or what is wrong.
const char *clustersettings_read_password(const char *path, char password[CLUSTER_PASSWORD_MAX]);

// Understands ENDPOINTS, as in "host:port,https://other:port". False: ERROR says what is wrong. Pure.
bool clustersettings_parse_endpoints(const char *endpoints, bool tls, struct clustersettings *settings, struct config_error *error);

#endif
