# SPDX-License-Identifier: MIT
"""What has to be reached, as ratios within one run."""
import math

import tables
from cases import CHILD, REFUSED_SHIM
from variants import BARE, EMPTY, FLOCK, FLOCK_WAIT, LAUNCH, SHIM

# Beyond this, what is heavy costs more than it does by itself. Less is noise.
GROWTH = 1.05


def share(part, whole):
    """Where what it is measured by drowns in noise, nothing is reached."""
    return part / whole if whole > 0 else math.inf


def both(figures, ratio):
    """A ratio of medians; and the same of the time on a CPU, which others that want one are less in the way of."""
    return ratio(figures, "median"), ratio(figures, "cpu")


def of_added(figures, label, other):
    return both(figures, lambda figures, value: share(tables.added(figures, label, value), tables.added(figures, other, value)))


def start(facts):
    figures = facts["start"]
    yield "a start and end / what flock -n adds", of_added(figures, SHIM, FLOCK), 0.10
    yield "exlock-launch / flock -n", of_added(figures, LAUNCH, FLOCK), 1.0


def descendant(facts):
    yield "a descendant passing by / an empty library", of_added(facts["descendant"], CHILD, EMPTY), 1.5


def refused_share(figures, value):
    limit = getattr(figures[BARE], value) + 0.1 * tables.added(figures, FLOCK, value)
    return share(getattr(figures[REFUSED_SHIM], value), limit)


def refused(facts):
    yield "a refused start / (bare + 0.1 of what flock -n adds)", both(facts["refused"], refused_share), 1.0


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
        if name not in facts:
            continue
        for text, value, limit in targets(facts):
            median, cpu = value if isinstance(value, tuple) else (value, None)
            rows.append([text, f"{median:.2f}", "" if cpu is None else f"{cpu:.2f}", f"{limit:.2f}", "reached" if median <= limit else "missed"])
    if rows:
        tables.title("To be reached, as ratios in this run")
        tables.table(["", "is", "of CPU time", "at most", ""], rows)
