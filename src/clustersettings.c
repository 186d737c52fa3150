// SPDX-License-Identifier: MIT
#include "clustersettings.h"

#include "lease.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// "ENCRYPTED" is in one of the first lines of a key in PEM form that is.
#define KEY_LOOK 256

static bool fail(struct config_error *error, const char *variable, const char *value, const char *why)
{
	*error = (struct config_error){ variable, value, why };
	return false;
}

// The length of the scheme that TEXT begins with; 0: it has none.
static size_t scheme_length(const char *text)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (text_begins(text, schemes[i]))
			return strlen(schemes[i]);
	return 0;
}

// Whether HOST:PORT, of LENGTH bytes, ends in a port. An IPv6 address has colons of its own, in brackets.
static bool has_port(const char *text, size_t length)
{
	const char *end = text + length, *at = memrchr(text, ':', length);
	uint64_t port;

	if (!at || at++ == text)
		return false;
	return text_parse_number(&at, end, &port) && at == end && port > 0 && port <= UINT16_MAX;
}

static bool add_endpoint(const char *text, size_t length, bool tls, struct clustersettings *settings)
{
	size_t scheme = scheme_length(text);
	const char *added = tls ? "https://" : "http://";

	while (length > scheme && strchr("/ \t", text[length - 1]))
		length--;
	// Anything more is no endpoint of etcd's: a path, or a password that would be in every process list. Nor is a bare host, of which
	// curl would take the port of the web.
	if (length <= scheme || strcspn(text + scheme, "/?#@ ") < length - scheme || (!scheme && !has_port(text, length)) ||
	    settings->count == CLUSTER_ENDPOINTS_MAX)
		return false;
	if (asprintf(&settings->endpoints[settings->count], "%s%.*s", scheme ? "" : added, (int)length, text) == -1)
		return false;
	settings->count++;
	return true;
}

bool clustersettings_parse_endpoints(const char *endpoints, bool tls, struct clustersettings *settings, struct config_error *error)
{
	const char *at = endpoints;

	settings->count = 0;
	for (;;) {
		size_t length;

		at += strspn(at, " \t");
		length = strcspn(at, ",");
		if (!add_endpoint(at, length, tls, settings))
			return fail(error, CONFIG_PREFIX "CLUSTER", endpoints,
				    "must be HOST:PORT, or a URL, or up to 16 of them with commas between");
		if (!at[length])
			return true;
		at += length + 1;
	}
}

static bool parse_ttl(const char *value, unsigned *ttl)
{
	const char *end = value + strlen(value);
	uint64_t number;

	if (!text_parse_number(&value, end, &number) || value != end || number < LEASE_TTL_MIN || number > LEASE_TTL_MAX)
		return false;
	*ttl = (unsigned)number;
	return true;
}

static bool read_at_least(char *const *environment, struct clustersettings *settings, struct config_error *error)
{
	const char *time = config_get(environment, CONFIG_PREFIX "CLUSTER_AT_LEAST");
	const char *always = config_get(environment, CONFIG_PREFIX "CLUSTER_EVEN_ON_FAILURE");

	if (time && (!config_parse_time(time, &settings->at_least) || settings->at_least == 0 || settings->at_least > LEASE_TTL_MAX * LEASE_SECOND))
		return fail(error, CONFIG_PREFIX "CLUSTER_AT_LEAST", time, "must be a time of a day at most, as in 600, 10m or 2h");
	if (always && strcmp(always, "0") != 0 && strcmp(always, "1") != 0)
		return fail(error, CONFIG_PREFIX "CLUSTER_EVEN_ON_FAILURE", always, "must be 0 or 1");
	settings->even_on_failure = always && always[0] == '1';
	return settings->at_least || !settings->even_on_failure ||
	       fail(error, CONFIG_PREFIX "CLUSTER_EVEN_ON_FAILURE", always, "goes with --at-least");
}

static bool check_file(const char *variable, const char *path, struct config_error *error)
{
	return !path || access(path, R_OK) == 0 || fail(error, variable, path, strerror(errno));
}

const char *clustersettings_read_password(const char *path, char password[CLUSTER_PASSWORD_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t length = fd == -1 ? -1 : read(fd, password, CLUSTER_PASSWORD_MAX);
	int problem = errno;

	if (fd != -1)
		(void)close(fd);
	if (length < 0)
		return strerror(problem);
	if (length == CLUSTER_PASSWORD_MAX)
		return "holds more than a password";
	password[length] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	return NULL;
}

static bool read_password(const char *path, struct clustersettings *settings, struct config_error *error)
{
	const char *why = clustersettings_read_password(path, settings->password);

	settings->password_file = path;
	return !why || fail(error, CONFIG_PREFIX "CLUSTER_PASSWORD_FILE", path, why);
}

// Nobody may be there who could type the passphrase; and it would be asked for anew with each connection.
static bool check_key(const char *path, struct config_error *error)
{
	char start[KEY_LOOK];
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
	ssize_t length = fd == -1 ? 0 : read(fd, start, sizeof(start));

	if (fd != -1)
		(void)close(fd);
	return length <= 0 || !memmem(start, (size_t)length, "ENCRYPTED", strlen("ENCRYPTED")) ||
	       fail(error, CONFIG_PREFIX "CLUSTER_KEY", path, "is protected by a passphrase, which nobody is asked for (openssl pkey -in KEY -out PLAIN takes it off)");
}

static bool find_password(char *const *environment, struct clustersettings *settings, struct config_error *error)
{
	const char *password = config_get(environment, CONFIG_PREFIX "CLUSTER_PASSWORD");
	const char *file = config_get(environment, CONFIG_PREFIX "CLUSTER_PASSWORD_FILE");

	if (!settings->user)
		return true;
	if (file)
		return read_password(file, settings, error);
	if (!password)
		return fail(error, CONFIG_PREFIX "CLUSTER_USER", settings->user,
			    "has no password: EXCLUSIVELOCK_CLUSTER_PASSWORD_FILE names a file with it");
	return strlcpy(settings->password, password, sizeof(settings->password)) < sizeof(settings->password) ||
	       fail(error, CONFIG_PREFIX "CLUSTER_PASSWORD", "...", "is too long");
}

static bool find_host(char *const *environment, struct clustersettings *settings, struct config_error *error)
{
	const char *host = config_get(environment, CONFIG_PREFIX "CLUSTER_HOST");

	if (!host)
		return gethostname(settings->host, sizeof(settings->host)) == 0 || *strcpy(settings->host, "?");
	return strlcpy(settings->host, host, sizeof(settings->host)) < sizeof(settings->host) ||
	       fail(error, CONFIG_PREFIX "CLUSTER_HOST", host, "is too long");
}

bool clustersettings_read(char *const *environment, struct clustersettings *settings, struct config_error *error)
{
	const char *endpoints = config_get(environment, CONFIG_PREFIX "CLUSTER");
	const char *ttl = config_get(environment, CONFIG_PREFIX "CLUSTER_TTL");

	*settings = (struct clustersettings){
		.ttl = LEASE_TTL_DEFAULT,
		.cacert = config_get(environment, CONFIG_PREFIX "CLUSTER_CACERT"),
		.cert = config_get(environment, CONFIG_PREFIX "CLUSTER_CERT"),
		.key = config_get(environment, CONFIG_PREFIX "CLUSTER_KEY"),
		.user = config_get(environment, CONFIG_PREFIX "CLUSTER_USER"),
		.prefix = config_get(environment, CONFIG_PREFIX "CLUSTER_PREFIX"),
	};
	if (!settings->prefix)
		settings->prefix = "";
	if (!endpoints)
		return fail(error, CONFIG_PREFIX "CLUSTER", "", "--cluster needs the cluster's endpoints, HOST:PORT of each member");
	if (ttl && !parse_ttl(ttl, &settings->ttl))
		return fail(error, CONFIG_PREFIX "CLUSTER_TTL", ttl, "must be a number of seconds from 2 to 86400");
	if (!settings->cert != !settings->key)
		return fail(error, settings->cert ? CONFIG_PREFIX "CLUSTER_CERT" : CONFIG_PREFIX "CLUSTER_KEY",
			    settings->cert ? settings->cert : settings->key, "a certificate and its key belong together");
	return read_at_least(environment, settings, error) && check_file(CONFIG_PREFIX "CLUSTER_CACERT", settings->cacert, error) &&
	       check_file(CONFIG_PREFIX "CLUSTER_CERT", settings->cert, error) &&
	       check_file(CONFIG_PREFIX "CLUSTER_KEY", settings->key, error) && check_key(settings->key, error) &&
	       clustersettings_parse_endpoints(endpoints, settings->cacert || settings->cert, settings, error) &&
	       find_password(environment, settings, error) && find_host(environment, settings, error);
}

void clustersettings_free(struct clustersettings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		free(settings->endpoints[i]);
	settings->count = 0;
	explicit_bzero(settings->password, sizeof(settings->password));
}
