// SPDX-License-Identifier: MIT
// What every unit test includes: cmocka wants these headers before its own.
#ifndef EXLOCK_UNIT_H
#define EXLOCK_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#endif
