# SPDX-License-Identifier: MIT
"""What is printed."""
from variants import BARE, EMPTY, FLOCK, SHIM


def table(header, rows):
    """Columns as wide as they have to be, the first to the left, the others to the right."""
    cells = [list(map(str, header))] + [list(map(str, row)) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        print(row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])), sep="  ")


def title(text):
    print(f"\n{text}")


def ratio(part, whole):
    """A share of what is to be compared with, or a dash where there is nothing."""
    return f"{part / whole:.2f}" if whole and whole > 0 else "-"


def added(figures, label, value="median"):
    """What a variant adds to the bare program: microseconds; None: it was not measured."""
    return getattr(figures[label], value) - getattr(figures[BARE], value) if label in figures else None


def comparison(text, figures):
    rounds = next(iter(figures.values())).rounds
    title(f"{text} (microseconds, {rounds} rounds)")
    flock, empty, flock_cpu = added(figures, FLOCK), added(figures, EMPTY), added(figures, FLOCK, "cpu")
    rows = []
    for label, figure in figures.items():
        more, more_cpu = added(figures, label), added(figures, label, "cpu")
        compared = [f"{more:+.0f}", ratio(more, flock), ratio(more, empty), f"{more_cpu:+.0f}", ratio(more_cpu, flock_cpu)]
        rows.append([label, f"{figure.median:.0f}", f"{figure.low:.0f}", f"{figure.high:.0f}",
                     *(compared if label != BARE else [""] * len(compared)), figure.faults])
    table(["", "median", "p10", "p90", "adds", "/ flock -n", "/ empty", "CPU adds", "/ flock -n", "page faults"], rows)


def growth(text, figures, phase):
    """What the library adds to a light program and to a heavy one. Returns, for each heavy one, its time as a share of what it would be
    without the library and what that adds to the light one."""
    title(f"{text} (microseconds)")
    rows, shares = [], {}
    light = None
    for label, by_variant in figures.items():
        bare, shim = by_variant[BARE, phase], by_variant[SHIM, phase]
        more = shim.median - bare.median
        expected = bare.median + (more if light is None else light)
        if light is None:
            light = more
        else:
            shares[label] = shim.median / expected
        rows.append([label, f"{bare.median:.0f}", f"{shim.median:.0f}", f"{shim.low:.0f}", f"{shim.high:.0f}", f"{more:+.0f}",
                     f"{shim.median / expected:.2f}"])
    table(["", BARE, SHIM, "p10", "p90", "adds", "/ expected"], rows)
    return shares


def queues(rows):
    title("Waiters: from the end of the holder's main to the first one's main, and until the last has ended (microseconds)")
    table(["", "waiters", "hand-over", "p10", "p90", "all", "p10", "p90", "out of order"],
          [[label, count, *(f"{value:.0f}" for value in fields[:6]), fields[6]] for (count, label), fields in rows.items()])


def rush(starts, rows):
    title(f"{starts:,} starts in one instant at one free name (milliseconds until all have ended)")
    table(["", "median", "p10", "p90", "ran: fewest", "most", "at a time"], rows)
