#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The storm's real Python program. It takes and gives back the lock by the code of exclusive.py.

It asks its parent, and goes on when a line comes, before it reads the file ("locked FD MODE") and once it is in ("in").
Ends with 77 where it is refused, with 78 where it may not open the file.
"""
import fcntl
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import exclusive  # noqa: E402

take_lock = os.lockf


def ask(words):
    try:
        os.write(1, words.encode() + b"\n")
        goes_on = os.read(0, 64)
    except BrokenPipeError:
        goes_on = False
    if not goes_on:
        os._exit(0)


def take_lock_and_ask(fd, command, length):
    take_lock(fd, command, length)
    created = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    ask(f"locked {fd} {'x' if created else 'r'}")


os.lockf = take_lock_and_ask
sys.stderr = open(os.devnull, "w")
try:
    with exclusive.exclusive("storm"):
        ask("in")
except FileNotFoundError:
    sys.exit(77)
except PermissionError:
    sys.exit(78)
except SystemExit:
    sys.exit(77)
