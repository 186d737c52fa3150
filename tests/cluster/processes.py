# SPDX-License-Identifier: MIT
"""Processes that may end at any time. Their numbers are soon others'."""
import os
import select


def fields_of(pid):
    """Name, state and parent; None: there is no such process. The name is in bytes: a stranger's may be in no encoding."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            before, after = stat.read().rsplit(b")", 1)
    except OSError:
        return None
    state, parent = after.split()[:2]
    return before.split(b"(", 1)[1], state, int(parent)


def parent_of(pid):
    fields = fields_of(pid)
    return fields[2] if fields else 0


def victim_lives(pid):
    fields = fields_of(pid)
    return fields is not None and fields[0] == b"cluster-victim" and fields[1] not in b"ZX"


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


def await_end(pid):
    """With all its threads: until the last one has ended it has its ports."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([handle], [], [])
    os.close(handle)
