// SPDX-License-Identifier: MIT
#ifndef EXLOCK_USAGE_H
#define EXLOCK_USAGE_H

// The launcher's --help and --version.
extern const char usage_text[];
extern const char usage_version[];

#endif
