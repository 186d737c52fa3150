// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "ways.h"

#include "slots.h"


enum { ARGUMENTS = 64, VARIABLES = 24 };

static enum image choose_image(const struct storm *storm)
{
	// By its PID alone it is not known in another PID namespace.
	if (!storm->handover && storm->tally->apart)
		return SHIMMED;
	return one_in(2) ? SHIMMED : one_in(2) ? BARE : STATIC;
}

// The storm's own lock has to be the innermost where its file is looked for by the marks, or nothing is handed over.
static enum nest choose_nest(const struct storm *storm)
{
	bool may_have_inner = storm->handover && !storm->peers && !storm->users && !storm->tally->apart;

	return one_in(2) ? SINGLE : (enum nest)(random() % (may_have_inner ? NESTS : INNER));
}

struct way ways_choose(const struct storm *storm)
{
	struct way way = { .launched = *storm->launcher && one_in(2) };

	if (!way.launched)
		return way;
	way.image = choose_image(storm);
	way.nest = choose_nest(storm);
	way.replaces = storm->replaces && !storm->tally->calm && one_in(4);
	// In a tree the descriptor is what is inherited. For an instant, or around another launcher for good, nothing but the PID would be left:
	// flock(1) does not see that, nor do those in another PID namespace.
	way.closes = storm->closes && !storm->tree && !storm->peers && !storm->tally->apart && way.nest < INNER && one_in(4);
	// The library gives back the innermost lock.
	if (way.image != SHIMMED || way.nest >= INNER)
		storm->tally->untidy = true;
	return way;
}

static void tell(struct tally *tally, struct way way, int slot)
{
	static const char *const images[] = { "", ", no preload", ", static" };
	static const char *const nests[] = { "", ", inside another", ", twice", ", around another", ", between two" };

	snprintf(tally->way[slot], WAY_MAX, "%s%s%s%s%s", way.launched ? "launched" : "preloaded", images[way.image], nests[way.nest],
		way.replaces ? ", replaces" : "", way.closes ? ", closes" : "");
}

// A list of arguments that ends in NULL. What is put in has to last.
struct list {
	char *item[ARGUMENTS];
	int count;
};

static void add(struct list *list, const char *const *items)
{
	for (; *items; items++) {
		if (list->count == ARGUMENTS - 1)
			_exit(BROKEN);
		list->item[list->count++] = (char *)(intptr_t)*items;
	}
}
#define ADD(list, ...) add(list, (const char *const[]){ __VA_ARGS__, NULL })

// exlock-launch for the lock NAME in FOLDER.
static void add_launcher(const struct storm *storm, struct list *list, const char *folder, const char *name)
{
	char *shim;

	if (asprintf(&shim, "--shim=%s", storm->shim) < 0)
		_exit(BROKEN);
	ADD(list, storm->launcher, shim, "--keeper=", "-d", folder, "-n", name);
}

// Of the slot's own, so that nobody else asks for it.
static void add_other(const struct storm *storm, struct list *list, const char *kind, int slot)
{
	char *folder, *name;

	if (asprintf(&folder, "%s/others", storm->folder) < 0 || asprintf(&name, "%s-%d", kind, slot) < 0)
		_exit(BROKEN);
	add_launcher(storm, list, folder, name);
	ADD(list, "--");
}

static void add_launchers(const struct storm *storm, struct list *list, struct way way, int slot)
{
	const char *no_preload = way.image == BARE ? "--no-preload" : NULL;

	if (way.nest == OUTER || way.nest == OUTER_AND_INNER)
		add_other(storm, list, "outer", slot);
	if (way.nest == TWICE) {
		add_launcher(storm, list, storm->locks, "storm");
		ADD(list, "--");
	}
	add_launcher(storm, list, storm->locks, "storm");
	if (way.replaces)
		ADD(list, "--replace");
	if (way.closes)
		ADD(list, "--close");
	if (no_preload)
		ADD(list, no_preload);
	ADD(list, "--");
	if (way.nest == INNER || way.nest == OUTER_AND_INNER) {
		add_other(storm, list, "inner", slot);
		if (no_preload)
			list->item[list->count - 1] = (char *)(intptr_t)no_preload;
	}
}

void ways_become(const struct storm *storm, struct way way, int slot, char *const arguments[])
{
	char *environment[VARIABLES];
	struct list list = { .count = 0 };
	int count = 0;

	tell(storm->tally, way, slot);
	if (!way.launched) {
		execve(arguments[0], arguments, storm->environment);
		_exit(BROKEN);
	}
	// The first one is the preload.
	for (; storm->environment[count + 1] && count < VARIABLES - 2; count++)
		environment[count] = storm->environment[count + 1];
	if (way.image != SHIMMED && storm->handover && !way.closes)
		environment[count++] = (char *)(intptr_t)"STORM_HANDED=1";
	environment[count] = NULL;
	add_launchers(storm, &list, way, slot);
	add(&list, (const char *const *)arguments);
	execve(list.item[0], list.item, environment);
	_exit(BROKEN);
}
