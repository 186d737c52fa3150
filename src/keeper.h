// SPDX-License-Identifier: MIT
#ifndef EXLOCK_KEEPER_H
#define EXLOCK_KEEPER_H

// What keepermain.c loads and calls.
int keeper_main(int argc, char **argv);

#endif
