// SPDX-License-Identifier: MIT
#include "shimfile.h"

#include "report.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUT_OFF "is cut off"
#define NONE_OF_OURS "is not exlock's library"

static bool is_within(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

// A note segment has one note behind another, each of a multiple of four bytes.
static bool has_note(const char *at, size_t length)
{
	struct shimfile_note note;

	while (length >= sizeof(note)) {
		uint64_t whole;

		memcpy(&note, at, sizeof(note));
		if (note.type == SHIMFILE_TYPE && note.name_size == sizeof(SHIMFILE_OWNER) &&
		    memcmp(note.name, SHIMFILE_OWNER, sizeof(SHIMFILE_OWNER)) == 0)
			return true;
		whole = offsetof(struct shimfile_note, name) + (((uint64_t)note.name_size + 3) & ~UINT64_C(3)) +
			(((uint64_t)note.content_size + 3) & ~UINT64_C(3));
		if (whole > length)
			break;
		at += whole;
		length -= whole;
	}
	return false;
}

static const char *check_segments(const char *start, size_t length, uint64_t size, const Elf64_Ehdr *header)
{
	bool noted = false;

	for (int i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;

		memcpy(&segment, start + header->e_phoff + (size_t)i * sizeof(segment), sizeof(segment));
		if (segment.p_type == PT_LOAD && !is_within(segment.p_offset, segment.p_filesz, size))
			return CUT_OFF;
		if (segment.p_type == PT_NOTE && is_within(segment.p_offset, segment.p_filesz, length))
			noted |= has_note(start + segment.p_offset, segment.p_filesz);
	}
	return noted ? NULL : NONE_OF_OURS;
}

const char *shimfile_check(const char *start, size_t length, uint64_t size, struct machine machine)
{
	Elf64_Ehdr header;

	if (length < SELFMAG || memcmp(start, ELFMAG, SELFMAG) != 0)
		return length == 0 ? CUT_OFF : NONE_OF_OURS;
	if (length < sizeof(header))
		return CUT_OFF;
	memcpy(&header, start, sizeof(header));
	if (!machine_is_same(machine_parse(start, length), machine))
		return "is for another machine";
	if (header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr))
		return NONE_OF_OURS;
	if (!is_within(header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr), length) ||
	    !is_within(header.e_shoff, (uint64_t)header.e_shnum * header.e_shentsize, size))
		return size < SHIMFILE_START || header.e_shoff > size ? CUT_OFF : NONE_OF_OURS;
	return check_segments(start, length, size, &header);
}

const char *shimfile_look(const char *path, struct machine machine)
{
	char start[SHIMFILE_START];
	struct stat status;
	ssize_t length = -1;
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1)
		return "cannot be read";
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		length = read(fd, start, sizeof(start));
	(void)close(fd);
	return length >= 0 ? shimfile_check(start, (size_t)length, (uint64_t)status.st_size, machine) : "cannot be read";
}
