// SPDX-License-Identifier: MIT
// SHA-256 (libmd's) as lower-case hexadecimal text.
#ifndef EXLOCK_DIGEST_H
#define EXLOCK_DIGEST_H

#include <stddef.h>
#include <sys/types.h>
#include <sha2.h>

// Size of the text with its final zero byte.
#define DIGEST_HEX (SHA256_DIGEST_LENGTH * 2 + 1)

struct digest {
	SHA2_CTX context;
};

void digest_start(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t length);
void digest_end(struct digest *digest, char hex[DIGEST_HEX]);

#endif
