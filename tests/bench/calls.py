#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""calls.py LIBRARY [-e NAME=VALUE]... COMMAND [ARG...]: prints the system calls that a library makes in a command and in all that it starts.

strace(1) says at which address each was made, and where the loader has put the library; so what the loader and libc do is kept apart, and
another version of them changes nothing. Calls that make or end processes are there whoever makes them. A line for each, with those of its
arguments that are the same in every run: no PID, no address, no time; "DIR" is EXCLUSIVELOCK_DIR, "LOCK" a lock file. What the library
does for each of the processes that it finds in /proc is left out, and how often a file there has to be read. Ends as the command does.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import commandline

LINE = re.compile(r"\[([0-9a-f]+|\?+)\] (\w+)\((.*)\)\s+= (-?\w+)(.*)")
PROCESS_CALLS = {"execve", "fork", "vfork", "clone", "clone3", "wait4", "waitid", "exit_group"}
FORKS = {"fork", "vfork", "clone", "clone3"}
# What of the arguments is always the same and says something: the paths, and names in capitals.
TELLING = {"openat", "newfstatat", "readlinkat", "unlinkat", "flock", "fcntl", "socket", "bind", "connect", "getsockopt", "prlimit64", "mmap",
           "clock_gettime", "execve", "mkdirat", "ftruncate"}
ARGUMENT = re.compile(r'@?"(?:[^"\\]|\\.)*"|\b[A-Z][A-Z0-9_]*(?:\|[A-Z][A-Z0-9_]*)*\b')
# What says nothing: where paths begin, where locks do; and what the kernel has written: a file's status, a limit, a link's target.
SILENT = {"AT_FDCWD", "SEEK_SET", "NULL"}
ANSWERS = {"newfstatat": r"\{.*?\}", "prlimit64": r"\{.*?\}", "readlinkat": r'(?<=", )".*"', "getsockopt": r"\{.*?\}"}


@dataclass
class Call:
    name: str
    arguments: str
    result: str
    error: str
    address: int


@dataclass
class Process:
    pid: int
    calls: list
    library: tuple = (0, 0)     # at its beginning: the addresses from, and up to
    own: list = field(default_factory=list)


def read_trace(path):
    calls = []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = LINE.match(line)
            # exit_group has no result, and what was cut short by the end none that matters.
            found = found or re.match(r"\[([0-9a-f]+|\?+)\] (\w+)\((.*?)(?:\)| <unfinished)\s*(=) \?(.*)", line)
            if found:
                address, name, arguments, result, rest = found.groups()
                error = re.match(r" (E[A-Z]+)", rest)
                calls.append(Call(name, arguments, result, error[1] if error else "", int(address.replace("?", "0") or "0", 16)))
    return calls


def trace(command, environment=None, output=None):
    """Runs a command, its output to OUTPUT; returns its exit status and its processes, in the order of their PIDs."""
    changes = [option for name, value in (environment or {}).items() for option in ("-E", f"{name}={value}" if value else name)]
    with tempfile.TemporaryDirectory() as folder:
        strace = ["strace", "-ff", "-i", "-qq", "-s", "4096", "-o", f"{folder}/trace", *changes]
        status = subprocess.run([*strace, *command], check=False, stdout=output, stderr=output).returncode
        files = glob.glob(f"{folder}/trace.*")
        return status, sorted((Process(int(file.rsplit(".", 1)[1]), read_trace(file)) for file in files), key=lambda process: process.pid)


def attribute(processes, library):
    """Fills in `own`: the library's calls, and those about processes."""
    by_pid = {process.pid: process for process in processes}
    for process in processes:
        begin, end = process.library
        opened = None
        for call in process.calls:
            if call.name == "execve" and call.result == "0":
                begin = end = 0
            elif call.name == "openat" and f'"{library}"' in call.arguments:
                opened = call.result
            elif call.name == "mmap" and opened and call.arguments.split(", ")[4] == opened:
                base, length = int(call.result, 16), int(call.arguments.split(", ")[1])
                begin, end, opened = base, base + length, None
            if call.name in FORKS and int(call.result) in by_pid:
                by_pid[int(call.result)].library = (begin, end)
            if begin <= call.address < end or call.name in PROCESS_CALLS:
                process.own.append(call)


def normalized(text, process):
    text = re.sub(rf"/proc/{process.pid}(?=[/\"])", "/proc/OWN", text)
    text = re.sub(r"/proc/\d+(?=[/\"])", "/proc/PID", text)
    text = re.sub(r"@\"exlock\..*\.(?=\d\")", "@\"TOMBSTONE.", text)
    for name, variable in (("DIR", "EXCLUSIVELOCK_DIR"), ("BUILD", "EXLOCK_BUILD")):
        if os.environ.get(variable):
            text = text.replace(os.environ[variable], name)
    return re.sub(r"DIR/[^\"/]+\.lock", "DIR/LOCK", text)


def described(call, process):
    words = [call.name]
    if call.name in TELLING:
        arguments = re.sub(ANSWERS.get(call.name, "(?!)"), "", call.arguments)
        found = [word for word in ARGUMENT.findall(arguments) if word not in SILENT]
        # The words of a command are its caller's.
        words += found[:1] if call.name == "execve" else found
    if call.error:
        words.append(f"= {call.error}")
    return normalized(" ".join(words), process)


def without_walks(calls):
    """A look at every process there is takes as many calls as there are processes."""
    walks = None
    for call in calls:
        if walks is None and call.name == "openat" and call.arguments.startswith('AT_FDCWD, "/proc", ') and not call.error:
            walks = call.result
            yield call
        elif walks is None or (call.name == "close" and call.arguments == walks):
            walks = None
            yield call


def without_texts(calls):
    """How many mappings a process has is its own matter, and whether the kernel tells of them without text, or is asked again for that."""
    maps = None
    for call in calls:
        if maps is not None:
            maps = None if call.name == "close" and call.arguments == maps else maps
            continue
        if call.name == "openat" and re.search(r'"/proc/\w+/maps"', call.arguments) and not call.error:
            maps = call.result
        yield call


def listed(processes):
    for number, process in enumerate(processes):
        if number > 0:
            yield "(another process)"
        last = None
        for call in without_texts(without_walks(process.own)):
            line = described(call, process)
            # A file in /proc is as long as it is.
            if line != last or (line != "read" and "/maps" not in line):
                yield line
            last = line


def main():
    library, environment, command = commandline.parse()
    status, processes = trace(command, environment)
    attribute(processes, library)
    print("\n".join(listed(processes)))
    return status


if __name__ == "__main__":
    sys.exit(main())
