// SPDX-License-Identifier: MIT
// exlock-keeper: loads the keeper with what it needs of libcurl and jansson. Where one of these is missing, the dynamic loader would have ended this
// process with 127, as if the command had not been found.
#include "config.h"

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <string.h>

int main(int argc, char **argv)
{
	// Beside this program, by its RUNPATH.
	void *keeper = dlopen("exlock-keeper.so", RTLD_NOW);
	void *symbol = keeper ? dlsym(keeper, "keeper_main") : NULL;
	int (*keeper_main)(int, char **);

	program_invocation_short_name = program_invocation_name = (char[]){ "exlock-launch" };
	if (!symbol)
		errx(CONFIG_EXIT_ERROR, "%s: nothing is started", dlerror());
	memcpy(&keeper_main, &symbol, sizeof(symbol));
	return keeper_main(argc, argv);
}
