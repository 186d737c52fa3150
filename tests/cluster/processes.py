# SPDX-License-Identifier: MIT
"""Processes that may end at any time."""
import os


def fields_of(pid):
    """State and parent; None: there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            state, parent = stat.read().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return None
    return state, int(parent)


def parent_of(pid):
    fields = fields_of(pid)
    return fields[1] if fields else 0


def lives(pid):
    fields = fields_of(pid)
    return fields is not None and fields[0] not in "ZX"


def family_of(pid):
    """PID and its descendants, parents first."""
    parents = {int(entry): parent_of(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
