#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A program that is exclusive the way Python programs using `exclusiveprocess` are: exclusive.py NAME

Refused, it says so and ends with status 1. Else it says "ready PID" and stays: SIGUSR1 ends the locked block, not the
program; SIGTERM ends the program.
"""
import os
import signal
import sys
from contextlib import contextmanager
from urllib.parse import quote_plus


def lock_path(name):
    directory = os.environ.get("EXCLUSIVELOCK_DIR") or "/var/lock"
    return os.path.join(directory, f"py_exclusivelock_{quote_plus(name)}.lock")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def claim(path):
    """Puts our PID into the file; returns the PID of a living holder instead if there is one."""
    try:
        file = open(path, "x")
    except FileExistsError:
        file = open(path, "r+")
    with file:
        os.lockf(file.fileno(), os.F_LOCK, 0)
        content = file.read() if file.readable() else ""
        try:
            holder = int(content.strip())
        except ValueError:
            holder = None
        if holder is not None and alive(holder):
            return holder
        file.seek(0)
        file.write(str(os.getpid()))
        file.truncate()
    return None


@contextmanager
def exclusive(name):
    path = lock_path(name)
    holder = claim(path)
    if holder is not None:
        print(f"Another '{name}' process is already running (pid {holder}).", file=sys.stderr)
        sys.exit(1)
    try:
        yield
    finally:
        try:
            os.unlink(path)
        except OSError:
            pass


def main():
    awaited = {signal.SIGTERM, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    with exclusive(sys.argv[1]):
        print("ready", os.getpid(), flush=True)
        received = signal.sigwait(awaited)
    if received == signal.SIGUSR1:
        print("released", flush=True)
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
