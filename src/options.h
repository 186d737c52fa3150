// SPDX-License-Identifier: MIT
// What exlock-launch is asked for: its options, understood.
#ifndef EXLOCK_OPTIONS_H
#define EXLOCK_OPTIONS_H

#include "environment.h"

#include <stdbool.h>
#include <stddef.h>

// Two for each option; one with less room does not compile.
#define OPTIONS_SETTINGS 56
#define OPTIONS_ERROR_MAX 512

enum options_request { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_WRONG };

// All strings but `error` and `about_cluster` point into the arguments.
struct options {
	const char *name;	// NULL: none was given
	const char *replace;	// seconds; NULL: the holder is left alone
	const char *older_than;	// how long the holder has to have run to be replaced; NULL: no matter how long
	bool no_preload;
	bool close;		// the command does not inherit the lock's descriptor
	bool print;
	bool cluster;
	const char *about_cluster;	// an option that goes with --cluster, and was given; NULL: none
	struct setting settings[OPTIONS_SETTINGS];
	int count;
	char **command;		// with its arguments; may be none, NULL
	char error[OPTIONS_ERROR_MAX];
};

// Understands ARGUMENTS, which end with NULL, as getopt_long(3) would with "+" and without abbreviations; an option that is there twice
// counts as it was given last, and one about a cluster goes with --cluster. Help and version are what is wanted as soon as they
// are asked for; with OPTIONS_WRONG `error` says what is. Pure.
enum options_request options_parse(char **arguments, struct options *options);

#endif
