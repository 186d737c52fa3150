// SPDX-License-Identifier: MIT
// What exlockctl says about lock files: for people in a table or a sentence, for programs as JSON.
#ifndef EXLOCK_LISTING_H
#define EXLOCK_LISTING_H

#include "survey.h"

#include <stddef.h>

// One lock file that was looked at. All of it is the entry's own memory.
struct entry {
	char *path;
	char *exact_name;	// with whatever bytes it has; NULL: not known to its end, or has a zero byte
	char *name;		// as the file's name has it, readable: control characters as vis(3) shows them
	char *command;		// of who holds, likewise; NULL: not known
	struct survey survey;
};

// Fills ENTRY with a look at PATH, whose lock is called NAME (LENGTH bytes); CUT: the rest of the name is not known. Ends the
// process without memory.
void entry_look(struct entry *entry, const char *path, const char *name, size_t length, bool cut);
void entry_free(struct entry *entry);

// A table of COUNT entries, aligned, cut at the width of the terminal where standard output is one.
void listing_table(const struct entry *entries, size_t count);

// The names alone, a line each; those that a line can hold as they are.
void listing_names(const struct entry *entries, size_t count);

// A sentence about one entry.
void listing_sentence(const struct entry *entry);

// The same as JSON: a list of objects, or one.
void listing_json(const struct entry *entries, size_t count);
void listing_json_one(const struct entry *entry);

#endif
