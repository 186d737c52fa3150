// SPDX-License-Identifier: MIT
#include "mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

// The kernel's include/uapi/linux/fs.h, which is newer than some distributions' copies of it.
struct procmap_query {
	uint64_t size, flags;	// cppcheck-suppress unusedStructMember ; the layout is the kernel's
	uint64_t address;
	uint64_t start;		// cppcheck-suppress unusedStructMember ; likewise
	uint64_t end, vma_flags;
	uint64_t page_size, offset;	// cppcheck-suppress unusedStructMember ; likewise
	uint64_t inode;
	uint32_t major, minor;
	uint64_t names[3];	// cppcheck-suppress unusedStructMember ; what we do not ask for
};

#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#define VMA_ACCESS 0x07		// readable, writable, executable
#define VMA_SHARED 0x08		// as maps shows it: of a file open for reading only, too
#define COVERING_OR_NEXT_VMA 0x10
#define FILE_BACKED_VMA 0x20
// Between two looks at the clock.
#define LOOKS_BETWEEN 64

// As stat(2) has it; makedev() is a function of libc's.
static dev_t device_of(const struct procmap_query *query)
{
	return ((dev_t)(query->major & 0xfff) << 8) | ((dev_t)(query->major & ~0xfffu) << 32) | (query->minor & 0xff) |
	       ((dev_t)(query->minor & ~0xffu) << 12);
}

// ENOENT: behind the last one. ESRCH: the memory has gone. A sandbox, or an older kernel, has other errors.
static enum mappings result_of(int error)
{
	return error == ENOENT || error == ESRCH ? MAPPINGS_WITHOUT : MAPPINGS_AS_TEXT;
}

static enum mappings find(int fd, bool (*is_file)(const void *context, dev_t device, ino_t inode), const void *context,
			  struct budget *budget)
{
	struct procmap_query query = { .size = sizeof(query), .flags = COVERING_OR_NEXT_VMA | FILE_BACKED_VMA | VMA_SHARED };

	for (int looks = 1; ioctl(fd, PROCMAP_QUERY, &query) == 0; looks++) {
		if (!(query.vma_flags & VMA_ACCESS) && is_file(context, device_of(&query), query.inode))
			return MAPPINGS_WITH;
		if (looks % LOOKS_BETWEEN == 0 && budget_cuts(budget))
			return MAPPINGS_UNSEEN;
		if (query.end <= query.address)
			return MAPPINGS_AS_TEXT;
		query.address = query.end;
	}
	return result_of(errno);
}

enum mappings mappings_find(const char *path, bool (*is_file)(const void *context, dev_t device, ino_t inode),
			    const void *context, struct budget *budget)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	enum mappings result;

	if (fd == -1)
		return errno == ENOENT || errno == ESRCH ? MAPPINGS_WITHOUT : MAPPINGS_UNSEEN;
	result = find(fd, is_file, context, budget);
	(void)close(fd);
	return result;
}

bool mappings_device(const void *address, dev_t *device)
{
	struct procmap_query query = { .size = sizeof(query), .address = (uintptr_t)address };
	int fd = openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	bool told;

	if (fd == -1)
		return false;
	told = ioctl(fd, PROCMAP_QUERY, &query) == 0;
	if (told)
		*device = device_of(&query);
	(void)close(fd);
	return told;
}
