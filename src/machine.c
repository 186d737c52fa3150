// SPDX-License-Identifier: MIT
#include "machine.h"

#include "descriptor.h"
#include "text.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

// How many scripts may interpret one another: the kernel's limit, see execve(2).
#define INTERPRETERS 5

// The machines for which the library can be built.
static const struct {
	uint16_t number;
	const char *folder;
} known[] = {
	{ EM_X86_64, "x86_64-linux-gnu" },
	{ EM_AARCH64, "aarch64-linux-gnu" },
	{ EM_RISCV, "riscv64-linux-gnu" },
};

const struct machine machine_ours = {
#if defined(__x86_64__)
	.number = EM_X86_64,
#elif defined(__aarch64__)
	.number = EM_AARCH64,
#elif defined(__riscv)
	.number = EM_RISCV,
#endif
	.word = ELFCLASS64,
	.order = ELFDATA2LSB,
};

bool machine_is_same(struct machine a, struct machine b)
{
	return a.number == b.number && a.word == b.word && a.order == b.order;
}

struct machine machine_parse(const char *start, size_t length)
{
	const size_t at = offsetof(Elf64_Ehdr, e_machine);	// in both sizes of header
	struct machine machine = { 0 };
	unsigned low, high;

	if (length < at + sizeof(uint16_t) || memcmp(start, ELFMAG, SELFMAG) != 0)
		return machine;
	machine.word = (uint8_t)start[EI_CLASS];
	machine.order = (uint8_t)start[EI_DATA];
	low = (unsigned char)start[at];
	high = (unsigned char)start[at + 1];
	machine.number = (uint16_t)(machine.order == ELFDATA2MSB ? low << 8 | high : high << 8 | low);
	return machine;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

bool machine_interpreter(const char *start, size_t length, char path[MACHINE_START])
{
	const char *at = start + 2, *end = start + length;
	struct text text = text_in(path, MACHINE_START);

	if (length < 2 || start[0] != '#' || start[1] != '!')
		return false;
	while (at < end && is_blank(*at))
		at++;
	for (start = at; at < end && !is_blank(*at) && *at != '\n' && *at != '\0';)
		at++;
	text_bytes(&text, start, (size_t)(at - start));
	return text.length > 0 && !text.cut;
}

static int open_start(const char *file, char start[MACHINE_START], ssize_t *length)
{
	int fd = openat(AT_FDCWD, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd != -1)
		fd = descriptor_move_up(fd);
	*length = fd == -1 ? -1 : read(fd, start, MACHINE_START);
	return fd;
}

int machine_open(const char *file, struct machine *machine)
{
	char start[MACHINE_START], path[MACHINE_START];
	ssize_t length;
	int fd = open_start(file, start, &length);

	*machine = machine_ours;
	for (int i = 0; i < INTERPRETERS && length > 0 && machine_interpreter(start, (size_t)length, path); i++) {
		int interpreter = open_start(path, start, &length);

		if (interpreter != -1)
			(void)close(interpreter);
	}
	// A script without "#!" is the shell's.
	if (length > 0 && machine_parse(start, (size_t)length).number != 0)
		*machine = machine_parse(start, (size_t)length);
	return fd;
}

static const char *folder_of(struct machine machine)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].number == machine.number && machine.word == ELFCLASS64 && machine.order == ELFDATA2LSB)
			return known[i].folder;
	return NULL;
}

bool machine_sibling(const char *path, struct machine machine, char sibling[PATH_MAX])
{
	const char *own = folder_of(machine_ours), *other = folder_of(machine), *at = path;
	struct text text = text_in(sibling, PATH_MAX);
	size_t length = own ? strlen(own) : 0;

	if (!own || !other)
		return false;
	while ((at = strchr(at, '/')) != NULL && (strncmp(at + 1, own, length) != 0 || at[1 + length] != '/'))
		at++;
	if (!at)
		return false;
	text_bytes(&text, path, (size_t)(at + 1 - path));
	text_add(&text, other);
	text_add(&text, at + 1 + length);
	return !text.cut;
}
