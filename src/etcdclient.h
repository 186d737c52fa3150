// SPDX-License-Identifier: MIT
// A client of etcd's v3 JSON gateway, in one thread: requests that try one endpoint after the other, and a watch beside them. While it waits,
// its owner sees to everything else. Times are lease_clock()'s.
#ifndef EXLOCK_ETCDCLIENT_H
#define EXLOCK_ETCDCLIENT_H

#include "clustersettings.h"
#include "etcdjson.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// What a person is told of an answer that etcdjson.h cannot read.
#define ETCD_STRANGE "etcd's answer cannot be understood"

enum etcd_result {
	ETCD_DONE,
	ETCD_REFUSED,		// by etcd, for good; see the answer's error
	ETCD_UNREACHABLE,	// no member did it in time; see etcd_complaint()
	ETCD_INTERRUPTED,	// the owner wants no more of it
};

struct etcd_answer {
	json_t *body;		// the caller's, to be given back with json_decref(); NULL: none
	int code;		// of a refusal: gRPC's
	uint64_t sent;		// when the try that was answered was sent
};

#define ETCD_CODE_NOT_FOUND 5
#define ETCD_CODE_PRECONDITION 9

// Sleeps until CURL has something to do, or until UNTIL, and sees to all else meanwhile. False: the request is to be given up.
typedef bool etcd_waiter(void *owner, CURLM *curl, uint64_t until);

struct etcd;

// NULL: no memory. SETTINGS are used on.
struct etcd *etcd_open(const struct clustersettings *settings, etcd_waiter *waiter, void *owner);
void etcd_close(struct etcd *etcd);

// Asks for PATH with REQUEST, which is given away, until DEADLINE; each try takes TRY_TIME at most.
enum etcd_result etcd_call(struct etcd *etcd, const char *path, json_t *request, uint64_t deadline, uint64_t try_time,
			   struct etcd_answer *answer);

// Begins to watch KEY, and OTHER (NULL: none), for deletions after REVISION, in the place of any other watch.
void etcd_watch(struct etcd *etcd, const struct etcd_bytes *key, const struct etcd_bytes *other, uint64_t revision);
// Ends the watch.
void etcd_unwatch(struct etcd *etcd);
// Whether the watch was ended by a message that tells that KEY is gone.
bool etcd_watch_tells_deletion(const struct etcd *etcd, const struct etcd_bytes *key);
// Whether the watch has come to its end: a message of it says so, it broke off, or requests have gone to another endpoint since, for its
// own does not answer.
bool etcd_watch_is_over(const struct etcd *etcd);

// Sleeps until UNTIL, or until the watch is over; sees to all else once at least. False: the owner wants no more of it.
bool etcd_sleep(struct etcd *etcd, uint64_t until);

// What became of the last tries, "ENDPOINT: WHY" for each endpoint, in memory of the client.
const char *etcd_complaint(struct etcd *etcd);

#endif
