// SPDX-License-Identifier: MIT
#include "mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

// The kernel's include/uapi/linux/fs.h, which is newer than some distributions' copies of it.
struct procmap_query {
	uint64_t size, query_flags;	// cppcheck-suppress unusedStructMember ; the layout is the kernel's
	uint64_t query_addr;
	uint64_t start;	// cppcheck-suppress unusedStructMember ; likewise
	uint64_t vma_end, vma_flags;
	uint64_t others[7];	// cppcheck-suppress unusedStructMember ; what we do not ask for
};

#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#define VMA_ACCESS 0x07		// readable, writable, executable
#define VMA_SHARED 0x08		// as maps shows it: of a file open for reading only, too
#define COVERING_OR_NEXT_VMA 0x10
#define FILE_BACKED_VMA 0x20

bool mappings_may_keep(const char *path)
{
	struct procmap_query query = { .size = sizeof(query), .query_flags = COVERING_OR_NEXT_VMA | FILE_BACKED_VMA | VMA_SHARED };
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	bool found = false, told = true;

	if (fd == -1)
		return false;
	while (!found && told && ioctl(fd, PROCMAP_QUERY, &query) == 0) {
		found = !(query.vma_flags & VMA_ACCESS);
		told = query.vma_end > query.query_addr;
		query.query_addr = query.vma_end;
	}
	told = told && errno == ENOENT;
	(void)close(fd);
	return found || !told;
}
