# SPDX-License-Identifier: MIT
"""What has to be reached, as ratios within one run."""
import tables
from cases import CHILD, REFUSED_SHIM
from variants import BARE, EMPTY, FLOCK, FLOCK_WAIT, LAUNCH, SHIM

# Beyond this, what is heavy costs more than it does by itself. Less is noise.
GROWTH = 1.05


def start(facts):
    figures = facts["start"]
    yield "a start and end / what flock -n adds", tables.added(figures, SHIM) / tables.added(figures, FLOCK), 0.10
    yield "exlock-launch / flock -n", tables.added(figures, LAUNCH) / tables.added(figures, FLOCK), 1.0


def descendant(facts):
    figures = facts["descendant"]
    yield "a descendant passing by / an empty library", tables.added(figures, CHILD) / tables.added(figures, EMPTY), 1.5


def refused(facts):
    figures = facts["refused"]
    limit = figures[BARE].median + 0.1 * tables.added(figures, FLOCK)
    yield "a refused start / (bare + 0.1 of what flock -n adds)", figures[REFUSED_SHIM].median / limit, 1.0


def queue(facts):
    rows = facts["queue"]
    most = max(count for count, _ in rows)
    yield "hand-over to a waiter / flock's", rows[1, SHIM][0] / rows[1, FLOCK_WAIT][0], 1.0
    yield f"{most} waiters drained / flock's", rows[most, SHIM][3] / rows[most, FLOCK_WAIT][3], 1.0
    for label in (SHIM, LAUNCH):
        yield f"{label}: waiters of {most} out of order", rows[most, label][6], 0


def rush(facts):
    yield "at a time, of many starts in one instant", facts["rush"][SHIM][5], 1


def weights(name):
    def targets(facts):
        for label, share in facts[name].items():
            yield f"{label} / what they cost without it and it without them", share, GROWTH
    return targets


ALL = {"start": start, "descendant": descendant, "refused": refused, "queue": queue, "rush": rush,
       **{name: weights(name) for name in ("files", "memory", "threads", "descriptors")}}


def report(facts):
    rows = []
    for name, targets in ALL.items():
        if name in facts:
            rows += [[text, f"{value:.2f}", f"{limit:.2f}", "reached" if value <= limit else "missed"]
                     for text, value, limit in targets(facts)]
    if rows:
        tables.title("To be reached, as ratios in this run")
        tables.table(["", "is", "at most", ""], rows)
