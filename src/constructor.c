// SPDX-License-Identifier: MIT
// Where the loader enters the shim, and what the launcher knows the shim's file by.
#include "exits.h"
#include "exlock.h"
#include "seccomp.h"
#include "shimfile.h"

__attribute__((section(".note.exlock"), aligned(4), used)) static const struct shimfile_note note = {
	.name_size = sizeof(SHIMFILE_OWNER),
	.type = SHIMFILE_TYPE,
	.name = SHIMFILE_OWNER,
};

__attribute__((constructor)) static void start(void)
{
	seccomp_prepare();
	exits_prepare();
	exlock_start();
}
