// SPDX-License-Identifier: MIT
// asking WHAT: asks through the functions that the shim defines. plugin FILE: beside the loader, which loads FILE; dlerror: while
// dlerror() has something to say; constructor: what a constructor left for dlerror(); next: what another preload answers.
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUEST = 7777 };

static void ask(void)
{
	prctl(PR_SET_NAME, "asking", 0, 0, 0);
	syscall(SYS_getpid);
}

static void say_error(void)
{
	const char *error = dlerror();

	puts(error ? error : "nothing");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "plugin") == 0 && argc > 2) {
		puts(dlopen(argv[2], RTLD_NOW) ? "loaded" : dlerror());
	} else if (strcmp(what, "dlerror") == 0) {
		(void)dlopen("/no/such/library", RTLD_NOW);
		ask();
		say_error();
	} else if (strcmp(what, "constructor") == 0) {
		say_error();
	} else if (strcmp(what, "next") == 0) {
		printf("%d %ld\n", prctl(REQUEST, 0, 0, 0, 0), syscall(REQUEST));
	} else {
		return 2;
	}
	return 0;
}
