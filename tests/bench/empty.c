// SPDX-License-Identifier: MIT
// The library that costs least: what a preload pays for being loaded at all.
typedef int nothing;
