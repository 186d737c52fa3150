// SPDX-License-Identifier: MIT
// The ways in which the storm starts a victim: with the library preloaded, or by exlock-launch.
#ifndef WAYS_H
#define WAYS_H

#include "tally.h"

struct storm;

enum image {
	SHIMMED,	// loads the library
	BARE,		// --no-preload
	STATIC,		// victim-static
};

// Other locks around or inside the storm's; no two starts at once ask for one of them.
enum nest { SINGLE, OUTER, TWICE, INNER, OUTER_AND_INNER, NESTS };

struct way {
	bool launched;
	enum image image;
	enum nest nest;
	bool replaces;		// --replace
	bool closes;		// --close
};

// Draws one at random, of those that STORM allows for.
struct way ways_choose(const struct storm *storm);

// Becomes the victim with ARGUMENTS, the first of which is to be its path.
__attribute__((noreturn)) void ways_become(const struct storm *storm, struct way way, int slot, char *const arguments[]);

#endif
