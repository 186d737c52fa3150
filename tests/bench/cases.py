# SPDX-License-Identifier: MIT
"""The cases: each measures, prints its table, and leaves in `facts` what the targets ask for."""
import os
import resource
import subprocess
from dataclasses import replace

import runners
import tables
from variants import BARE, FLOCK, LAUNCH, LAUNCH_P, MARKS, PREFIX, Variant, available_peers

TRUE = ["/bin/true"]
REFUSED_SHIM = "libexlock.so, refused"
CHILD = "libexlock.so, a child"


class Bench:
    """What a run has in common: the build, the lock directories, how long it may take."""

    def __init__(self, build, memory, disk, size, cpu):
        self.build, self.memory, self.disk, self.size, self.cpu = build, memory, disk, size, cpu
        self.facts = {}

    def sized(self, full, quick, smoke):
        return {"full": full, "quick": quick, "smoke": smoke}[self.size]

    def effort(self, rounds, seconds):
        return self.sized((rounds, seconds), (max(rounds // 10, 3), seconds / 6), (1, seconds))

    def start(self, plan, directory, effort, **more):
        return runners.start(self.build, plan, directory, effort, self.cpu, **more)

    def compare(self, title, plan, directory, effort, **more):
        """Measures a plan that has the yardsticks in it; prints the table and returns the figures."""
        figures = {label: figure for (label, phase), figure in self.start(plan, directory, effort, **more).items() if phase == "total"}
        tables.comparison(title, figures)
        return figures


def uncontended(bench, directory):
    """Every way to run /bin/true under a free lock of its own."""
    build = bench.build
    plan = build.yardsticks(TRUE)
    plan.append(build.preloaded(TRUE))
    # The latter leaves its file, so it always finds a stale one; the others are not to.
    plan += [build.launched(TRUE), build.launched(TRUE, "-P", "-n", "by-pid", label=LAUNCH_P)]
    plan += [peer.refusing(f"{directory}/{peer.label}", TRUE) for peer in available_peers()]
    plan.append(Variant("sh -c 'exec true'", ["/bin/sh", "-c", "exec /bin/true"]))
    return plan + build.python()


def case_start(bench):
    """Uncontended start and end."""
    with runners.folder(bench.memory) as directory:
        figures = bench.compare("Start and end of /bin/true, lock directory in memory", uncontended(bench, directory), directory,
                                bench.effort(800, 50))
    bench.facts["start"] = figures


def case_disk(bench):
    """The same with the lock files on a disk."""
    if os.stat(bench.disk).st_dev == os.stat(bench.memory).st_dev:
        print("\nNo other file system than the one in memory: no case `disk`.")
        return
    with runners.folder(bench.disk) as directory:
        plan = [variant for variant in uncontended(bench, directory) if "ython" not in variant.label]
        bench.compare("The same, lock directory on a disk", plan, directory, bench.effort(400, 20))


def holders(bench, directory):
    """Everybody who is to be refused has somebody of the same kind in the way."""
    sleep = ["/bin/sleep", "100000"]
    found = [peer.refusing(f"{directory}/held-{peer.label}", sleep) for peer in available_peers()]
    return found + [bench.build.preloaded(sleep, NAME="held")]


def all_hold(processes):
    with open("/proc/locks", encoding="ascii") as lines:
        pids = {line.split()[4] for line in lines if "->" not in line}
    return all(str(process.pid) in pids for process in processes)


def case_refused(bench):
    """A start that is refused."""
    with runners.folder(bench.memory) as directory, runners.running(holders(bench, directory), directory, all_hold):
        plan = bench.build.yardsticks(TRUE)
        plan.append(bench.build.preloaded(TRUE, REFUSED_SHIM, 1, NAME="held"))
        plan.append(bench.build.launched(TRUE, "-n", "held", label=f"{LAUNCH}, refused", status=1))
        for peer in available_peers():
            plan.append(peer.refusing(f"{directory}/held-{peer.label}", TRUE, held=True).labelled(f"{peer.label}, refused"))
            if peer.label == FLOCK:
                plan.append(peer.refusing(f"{directory}/free", TRUE))
        bench.facts["refused"] = bench.compare("A refused start", plan, directory, bench.effort(400, 25))


def case_descendant(bench):
    """What a holder starts passes by: the runner itself is the holder."""
    build = bench.build
    with runners.folder(bench.memory) as directory:
        plain = {"LD_PRELOAD": "", **MARKS}
        strangers = build.yardsticks(TRUE)
        strangers += [peer.refusing(f"{directory}/free", TRUE) for peer in available_peers() if peer.label == FLOCK]
        plan = [replace(variant, environment={**plain, **variant.environment}) for variant in strangers]
        plan.append(build.preloaded(TRUE, CHILD))
        plan.append(Variant("a child's child", TRUE, {"LD_PRELOAD": ""}))
        plan.append(build.preloaded(TRUE, "libexlock.so, not ONLY", ONLY="nothing"))
        holder = {"LD_PRELOAD": build.shim, PREFIX + "NAME": "bench-parent"}
        bench.facts["descendant"] = bench.compare("A descendant of the holder passing by", plan, directory, bench.effort(800, 20),
                                                  environment=holder)


def case_files(bench):
    """Many lock files beside ours."""
    figures = {}
    for count in (1, bench.sized(1000, 1000, 10), bench.sized(100000, 10000, 20)):
        with runners.folder(bench.memory) as directory:
            one = subprocess.check_output([bench.build.launch, "-p", "-d", directory, "-n", "other"], text=True)
            for number in range(count):
                with open(one.removesuffix("other.lock\n") + f"other-{number}.lock", "w", encoding="ascii") as file:
                    file.write("999999999\n")
            plan = [Variant(BARE, TRUE), bench.build.preloaded(TRUE)]
            figures[f"{count:,} lock files"] = bench.start(plan, directory, bench.effort(300, 8))
    bench.facts["files"] = tables.growth("Lock files in the directory: a start and end", figures, "total")


WEIGHTS = {
    "memory": ("Memory of the guarded process: its end", [("64 KiB", ["-m", str(64 << 10)], 100), ("1 GiB", ["-m", str(1 << 30)], 15)]),
    "threads": ("Threads of the guarded process: its end", [("1 more thread", ["-t", "1"], 100), ("1,000 threads", ["-t", "1000"], 60)]),
    "descriptors": ("Open descriptors of the guarded process: its end",
                    [("10 descriptors", ["-d", "10"], 100), ("10,000 descriptors", ["-d", "10000"], 60)]),
}
# So many descriptors have to be allowed.
MOST_DESCRIPTORS = 10100


def weigh(bench, name):
    title, weights = WEIGHTS[name]
    figures = {}
    for label, options, rounds in weights:
        subject = [bench.build.subject, *options]
        with runners.folder(bench.memory) as directory:
            plan = [Variant(BARE, subject), bench.build.empty(subject), bench.build.preloaded(subject)]
            figures[label] = bench.start(plan, directory, bench.effort(rounds, 15))
    bench.facts[name] = tables.growth(title, figures, "end")


def case_memory(bench):
    """A guarded process with much memory."""
    weigh(bench, "memory")


def case_threads(bench):
    """With many threads."""
    weigh(bench, "threads")


def case_descriptors(bench):
    """With many open descriptors."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < MOST_DESCRIPTORS:
        print(f"\nNo more than {resource.getrlimit(resource.RLIMIT_NOFILE)[1]} descriptors are allowed: no case `descriptors`.")
        return
    weigh(bench, "descriptors")


def waiting(bench, directory, everybody):
    command = [bench.build.subject, "-w"]
    plan = [bench.build.preloaded(command, NAME="queue", ON_HELD="wait"),
            bench.build.launched(command, "-w", "-n", "launched", label=LAUNCH)]
    peers = [peer for peer in available_peers() if peer.wait is not None and (everybody or peer.program == "flock")]
    return plan + [peer.waiting(f"{directory}/wait-{peer.label}", command).labelled(peer.label.replace(" -n", "")) for peer in peers]


def case_queue(bench):
    """Hand-over to a waiter, and queues of them."""
    rows = {}
    for count, rounds in bench.sized(((1, 30), (10, 5), (100, 2), (500, 1)), ((1, 6), (10, 1), (100, 1)), ((1, 1), (3, 1))):
        with runners.folder(bench.memory) as directory:
            command = [os.path.join(bench.build.tools, "bench-queue"), str(rounds), str(count)]
            for label, *fields in runners.run(command, waiting(bench, directory, count <= 10), directory):
                rows[count, label] = [float(value) for value in fields[:6]] + [int(fields[6])]
    tables.queues(rows)
    bench.facts["queue"] = rows


def case_rush(bench):
    """Many starts at one free name in the same instant."""
    starts = bench.sized(1000, 200, 10)
    subject = [bench.build.subject]
    with runners.folder(bench.memory) as directory:
        plan = [Variant(BARE, subject), bench.build.preloaded(subject, status=1, NAME="rush")]
        plan += [peer.refusing(f"{directory}/rush", subject, held=True) for peer in available_peers() if peer.label in (FLOCK, "setlock")]
        command = [os.path.join(bench.build.tools, "bench-rush"), str(bench.sized(3, 1, 1)), str(starts)]
        rows = runners.run(command, plan, directory)
    tables.rush(starts, rows)
    bench.facts["rush"] = {row[0]: [float(value) for value in row[1:]] for row in rows}


ALL = {name[len("case_"):]: function for name, function in globals().items() if name.startswith("case_")}
