// SPDX-License-Identifier: MIT

// This links libc, and so the program takes a preload.
package main

// #include <stdlib.h>
import "C"

func init() { C.abs(-1) }
