// SPDX-License-Identifier: MIT
// The requests of etcd's v3 JSON gateway that a lock needs, and what the answers say. Pure. Keys and values are base64 there, and
// 64-bit numbers are strings.
#ifndef EXLOCK_ETCDJSON_H
#define EXLOCK_ETCDJSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Any bytes; with a zero byte behind them that is not counted.
struct etcd_bytes {
	char *bytes;		// NULL: none
	size_t length;
};

// A key of a lock's queue: its first is the holder's, the others wait in the order of their creation.
struct etcd_entry {
	struct etcd_bytes key;
	struct etcd_bytes value;
	uint64_t created;	// the revision, which only ever rises; 0: there is no such key
	uint64_t lease;		// that it ends with; 0: none
};

struct etcd_bytes etcd_bytes(const void *bytes, size_t length);
void etcd_bytes_free(struct etcd_bytes *bytes);
void etcd_entry_free(struct etcd_entry *entry);

// The requests. A queue is all keys that begin with a prefix; NULL: no memory.
json_t *etcd_ask_lease(uint64_t lease);
json_t *etcd_ask_grant(uint64_t lease, unsigned ttl);
json_t *etcd_ask_token(const char *user, const char *password);
// Puts KEY with VALUE under LEASE unless it is there, or (TRY) anything is in the queue; and looks at it, and at the queue's first.
json_t *etcd_ask_entry(const struct etcd_bytes *queue, const struct etcd_bytes *key, const struct etcd_bytes *value, uint64_t lease,
		       bool try);
// Puts VALUE in the place of the value of KEY, and under LEASE, if the key still is that of revision CREATED.
json_t *etcd_ask_release(const struct etcd_bytes *key, uint64_t created, const struct etcd_bytes *value, uint64_t lease);
json_t *etcd_ask_first(const struct etcd_bytes *queue);
// The last that was created before CREATED.
json_t *etcd_ask_predecessor(const struct etcd_bytes *queue, uint64_t created);
// The first of the queue, and who is before the own KEY, which was CREATED then; and the own key.
json_t *etcd_ask_place(const struct etcd_bytes *queue, const struct etcd_bytes *key, uint64_t created);
// Up to LIMIT keys of the queue, in the order of their bytes and without their values, as they were at REVISION (0: now). AFTER: the last
// key of the page before; NULL: the first page.
json_t *etcd_ask_page(const struct etcd_bytes *queue, const struct etcd_bytes *after, unsigned limit, uint64_t revision);
// Begins a request for several ranges at once, as they were at REVISION; each etcd_add_...() adds one. False: no memory.
json_t *etcd_ask_ranges(void);
bool etcd_add_key(json_t *request, const struct etcd_bytes *key, uint64_t revision);
bool etcd_add_first(json_t *request, const struct etcd_bytes *queue, uint64_t revision);	// without its value
// To be told when KEY is deleted after REVISION; or OTHER, unless it is NULL. Of both etcd tells in the order of their deletion, and in one message
// where it is one act. It tells of all keys between the two as well: see etcd_is_end_of_watch().
json_t *etcd_ask_watch(const struct etcd_bytes *key, const struct etcd_bytes *other, uint64_t revision);

// What the answer to etcd_ask_entry() says.
struct etcd_queue {
	uint64_t own;		// the revision that created the own key; 0: it is not there
	uint64_t revision;	// that all of this was read at
	struct etcd_entry first;
};

// What the answer to etcd_ask_place() says. Its first, and who is before us, are to be freed.
struct etcd_place {
	uint64_t own;		// as above
	uint64_t revision;
	uint64_t count;		// of all keys in the queue
	struct etcd_entry first, before;
};

// The answers. False: it is none of that kind, and nothing is to be given back.
bool etcd_read_ttl(const json_t *answer, uint64_t *ttl);	// of a grant or a renewal; 0: there is no such lease
bool etcd_read_success(const json_t *answer);	// of a transaction: whether its condition was met
bool etcd_read_token(const json_t *answer, const char **token);
// The raft term in the answer's header. A member fills the header of a renewal before it renews, and that of a read after it has read.
bool etcd_read_term(const json_t *answer, uint64_t *term);
bool etcd_read_queue(const json_t *answer, struct etcd_queue *queue);
bool etcd_read_place(const json_t *answer, struct etcd_place *place);
// Of the first key; its CREATED is 0 where there is none.
bool etcd_read_first(const json_t *answer, struct etcd_entry *entry, uint64_t *revision);
// Number INDEX of the keys of an answer; false: there are not so many.
bool etcd_read_entry(const json_t *answer, size_t index, struct etcd_entry *entry);
// Of a page: how many keys it has, the revision that it was read at, and whether there are more.
bool etcd_read_page(const json_t *answer, size_t *count, uint64_t *revision, bool *more);
// Of the answer to several ranges: the first key of number INDEX; its CREATED is 0 where there is none.
bool etcd_read_range(const json_t *answer, size_t index, struct etcd_entry *entry);

// What one message of a watch says: that KEY is gone, or OTHER (NULL: none), or that the watch will not tell.
bool etcd_is_end_of_watch(const json_t *message, const struct etcd_bytes *key, const struct etcd_bytes *other);
// Whether a message tells that KEY is gone.
bool etcd_tells_deletion(const json_t *message, const struct etcd_bytes *key);

// Of an answer that is an error.
struct etcd_error {
	int code;		// of gRPC; -1: none
	const char *message;	// NULL: none
};

struct etcd_error etcd_read_error(const json_t *answer);

#endif
