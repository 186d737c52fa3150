// SPDX-License-Identifier: MIT
// What a program would call if this library did not define a function of that name.
#ifndef EXLOCK_NEXTFUNCTION_H
#define EXLOCK_NEXTFUNCTION_H

// Returns the definition of the function NAME in the first object that was loaded after this library: another preload's, a
// sanitizer's runtime's or libc's. NULL: there is none, or the loader does not tell which objects it has loaded.
//
// This is dlsym(RTLD_NEXT, NAME) for a constructor. dlsym takes the loader's lock, may allocate, drops what dlerror() has to
// say, and may itself be another preload's. This only reads what the loader has loaded at the start.
void *nextfunction_find(const char *name);

#endif
