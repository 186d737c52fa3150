// SPDX-License-Identifier: MIT
#include "nextfunction.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A version that only an explicit reference gets, see the version symbol table of the System V ABI.
#define VERSION_HIDDEN 0x8000

// Where the loader keeps the list of what it has loaded, for debuggers: glibc's and musl's. Weak, as in start.c.
#pragma weak _r_debug
extern struct r_debug *_dl_debug_addr __attribute__((weak));

// The symbols of one object.
struct symbols {
	const Elf64_Sym *symbols;
	const char *names;
	const Elf64_Half *versions;	// NULL: none
	const uint32_t *gnu_hash;	// either may be NULL
	const uint32_t *hash;
};

static const struct link_map *first_object(void)
{
	if (&_r_debug)
		return _r_debug.r_map;
	return &_dl_debug_addr && _dl_debug_addr ? _dl_debug_addr->r_map : NULL;
}

// glibc has added the object's address in place, musl has not, nor has either for the kernel's object.
static const void *address(const struct link_map *object, Elf64_Addr value)
{
	return (const void *)(value < object->l_addr ? object->l_addr + value : value);
}

static struct symbols symbols_of(const struct link_map *object)
{
	struct symbols symbols = { 0 };

	for (const Elf64_Dyn *entry = object->l_ld; entry->d_tag != DT_NULL; entry++) {
		const void *table = address(object, entry->d_un.d_ptr);

		if (entry->d_tag == DT_SYMTAB)
			symbols.symbols = table;
		else if (entry->d_tag == DT_STRTAB)
			symbols.names = table;
		else if (entry->d_tag == DT_VERSYM)
			symbols.versions = table;
		else if (entry->d_tag == DT_GNU_HASH)
			symbols.gnu_hash = table;
		else if (entry->d_tag == DT_HASH)
			symbols.hash = table;
	}
	return symbols;
}

static bool defines(const struct symbols *symbols, uint32_t index, const char *name)
{
	const Elf64_Sym *symbol = symbols->symbols + index;
	unsigned type = symbol->st_info & 0xf;

	return symbol->st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_NOTYPE) &&
	       strcmp(symbols->names + symbol->st_name, name) == 0 &&
	       !(symbols->versions && symbols->versions[index] & VERSION_HIDDEN);
}

static uint32_t gnu_hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

// The table: how many buckets, the first symbol in it, how many words of a filter, its shift; the filter, the buckets, and for each symbol
// its hash, the last one of a bucket with the lowest bit set. Returns the symbol's index, 0: none.
static uint32_t find_by_gnu_hash(const struct symbols *symbols, const char *name)
{
	const uint32_t *table = symbols->gnu_hash;
	uint32_t buckets = table[0], first = table[1];
	const uint32_t *bucket = table + 4 + table[2] * (sizeof(Elf64_Addr) / sizeof(*table));
	const uint32_t *hashes = bucket + buckets;
	uint32_t hash = gnu_hash_of(name);
	uint32_t index = buckets ? bucket[hash % buckets] : 0;

	for (; index != 0; index++) {
		uint32_t other = hashes[index - first];

		if ((other | 1) == (hash | 1) && defines(symbols, index, name))
			return index;
		if (other & 1)
			break;
	}
	return 0;
}

// The older table says how many symbols there are.
static uint32_t find_one_by_one(const struct symbols *symbols, const char *name)
{
	for (uint32_t index = 1; index < symbols->hash[1]; index++)
		if (defines(symbols, index, name))
			return index;
	return 0;
}

static void *find_in(const struct link_map *object, const char *name)
{
	struct symbols symbols = symbols_of(object);
	uint32_t index = 0;

	if (!symbols.symbols || !symbols.names)
		return NULL;
	if (symbols.gnu_hash)
		index = find_by_gnu_hash(&symbols, name);
	else if (symbols.hash)
		index = find_one_by_one(&symbols, name);
	return index ? (void *)(object->l_addr + symbols.symbols[index].st_value) : NULL;
}

// What was loaded at the start comes first in the list, and libc is in it: what other threads load and unload is never reached.
void *nextfunction_find(const char *name)
{
	const struct link_map *object = first_object();
	void *found = NULL;

	while (object && object->l_ld != _DYNAMIC)
		object = object->l_next;
	while (object && !found && (object = object->l_next) != NULL)
		found = find_in(object, name);
	return found;
}
