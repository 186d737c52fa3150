// SPDX-License-Identifier: MIT
// One HTTP request of etcd's gateway on its way, by libcurl.
#ifndef EXLOCK_TRANSFER_H
#define EXLOCK_TRANSFER_H

#include "clustersettings.h"
#include "etcdjson.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct transfer;

// Sends REQUEST to URL, with TOKEN unless it is NULL. TIME: nanoseconds that all of it may take; 0: it is a watch, see transfer_watch(). NULL: no
// memory.
struct transfer *transfer_begin(CURLM *curl, const struct clustersettings *settings, const char *url, const json_t *request,
				const char *token, uint64_t time);
// Lets a watch be over with the message that tells that KEY is gone, or OTHER (NULL: none), or that ends it otherwise. False: no memory.
bool transfer_watch(struct transfer *transfer, const struct etcd_bytes *key, const struct etcd_bytes *other);
// Whether that message tells that KEY is gone.
bool transfer_tells_deletion(const struct transfer *transfer, const struct etcd_bytes *key);
void transfer_end(CURLM *curl, struct transfer *transfer);

// Lets all that are on their way go on, without sleeping.
void transfer_turn(CURLM *curl);

bool transfer_is_over(const struct transfer *transfer);

// Of one that is over, or given up. Whether there was an answer; if not why, and whether it would be so at the next time, too.
bool transfer_is_answered(const struct transfer *transfer);
const char *transfer_why(const struct transfer *transfer);
bool transfer_is_hopeless(const struct transfer *transfer);
long transfer_status(const struct transfer *transfer);
// The first line of an answer that is plain text; NULL: it is none, or an empty one. In memory of the transfer.
const char *transfer_text(struct transfer *transfer);
// The first JSON of the answer; NULL: there is none.
json_t *transfer_json(const struct transfer *transfer);

#endif
