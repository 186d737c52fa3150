// SPDX-License-Identifier: MIT
#include "clustermark.h"

#include <string.h>

void clustermark_begin(char *const *environment, pid_t pid, uint64_t start, char buffer[CLUSTERMARK_MAX])
{
	static const char *const parts[] = { CONFIG_PREFIX "NAME", CONFIG_PREFIX "CLUSTER_PREFIX", CONFIG_PREFIX "CLUSTER" };
	struct text text = text_in(buffer, CLUSTERMARK_MAX);
	struct digest digest;
	char hex[DIGEST_HEX];

	digest_start(&digest);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		const char *value = config_get(environment, parts[i]);

		// With its zero byte, so that no two of them run together.
		digest_add(&digest, value ? value : "", value ? strlen(value) + 1 : 1);
	}
	digest_end(&digest, hex);
	text_number(&text, (uint64_t)pid);
	text_add(&text, ".");
	text_number(&text, start);
	text_add(&text, ".");
	text_add(&text, hex);
	text_add(&text, ".");
}
