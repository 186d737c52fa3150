// SPDX-License-Identifier: MIT
// Which machine's program a file is: one of another machine's runs here by emulation, or with 32 bits, and cannot load this one's library.
#ifndef EXLOCK_MACHINE_H
#define EXLOCK_MACHINE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How much of a file's beginning is looked at, by the kernel too (its BINPRM_BUF_SIZE).
#define MACHINE_START 256

// As an ELF file's header has it; of this machine's shim it is MACHINE_OURS.
struct machine {
	uint16_t number;		// elf(5)'s EM_*; 0: the file is no ELF file, or too short to tell
	uint8_t word, order;		// ELFCLASS32 or ELFCLASS64, ELFDATA2LSB or ELFDATA2MSB
};

extern const struct machine machine_ours;

bool machine_is_same(struct machine a, struct machine b);

// Understands the LENGTH bytes of START with which a file begins. Pure.
struct machine machine_parse(const char *start, size_t length);

// Writes the path of the interpreter that the script which begins with the LENGTH bytes of START names. Pure. False: it is no script, or
// names none.
bool machine_interpreter(const char *start, size_t length, char path[MACHINE_START]);

// Opens FILE and looks whose program it is; of a script, its interpreter. Returns a descriptor of FILE; -1 if it cannot be read: then MACHINE
// is ours.
int machine_open(const char *file, struct machine *machine);

// Writes the path at which MACHINE's library would be installed beside ours at PATH: in a folder with MACHINE's name in the place of ours, as
// Debian has it (/usr/lib/aarch64-linux-gnu). Pure. False: there is no such place.
bool machine_sibling(const char *path, struct machine machine, char sibling[PATH_MAX]);

#endif
