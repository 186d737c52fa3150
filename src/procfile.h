// SPDX-License-Identifier: MIT
// Reading /proc: whole small files, long ones line by line, and which processes there are.
#ifndef EXLOCK_PROCFILE_H
#define EXLOCK_PROCFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Room for "/proc/PID/..." with the short names that are used here.
#define PROCFILE_PATH 48

// Writes "/proc/PID" and NAME (with its slash) to PATH, which it returns; PID 0 is "self".
const char *procfile_path(char path[PROCFILE_PATH], pid_t pid, const char *name);

// Reads at most SIZE bytes from the start of PATH. Returns how many, or -1 and errno.
ssize_t procfile_read(const char *path, char *buffer, size_t size);

// Calls VISIT for each line of PATH, without its newline, until it returns true. Of a line of SCRATCH_SIZE or more bytes VISIT gets the
// first SCRATCH_SIZE. Returns 0, or -1 and errno: PATH cannot be opened, or no memory.
int procfile_lines(const char *path, bool (*visit)(void *context, const char *line, size_t length), void *context);

// The same for the strings of PATH, /proc/PID/environ for one, which end with a zero byte each.
int procfile_strings(const char *path, bool (*visit)(void *context, const char *string, size_t length), void *context);

// Calls VISIT for each process, thread or descriptor that FOLDER ("/proc", "/proc/PID/fd") lists, until it returns true.
// FIRST: in /proc, smaller numbers may be left out; 0: none is. Returns 0, or -1 and errno: FOLDER cannot be opened, or no memory.
int procfile_search(const char *folder, pid_t first, bool (*visit)(void *context, pid_t number), void *context);

// The same for each thread of PID.
int procfile_search_threads(pid_t pid, bool (*visit)(void *context, pid_t thread), void *context);

#endif
