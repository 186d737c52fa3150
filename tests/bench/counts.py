# SPDX-License-Identifier: MIT
"""The case `counts`: what does not depend on time."""
import os
import shutil
import subprocess

import calls
import cases
import instructions
import runners
import tables
from variants import BARE, SHIM


def chain(process):
    """The programs that a process became."""
    return [call.arguments.split('"')[1] for call in process.calls if call.name == "execve" and call.result == "0"]


def count_instructions(build, variant, processes):
    """Of all together. What callgrind counts of a program is lost when the process becomes two others after it, one after the other: then it
    is counted by itself, with what follows left out."""
    total = sum(instructions.count(instructions.run(build, variant.argv, variant.environment)).values())
    for process in processes:
        for image in chain(process)[1:-1]:
            parts = instructions.run(build, variant.argv, variant.environment, f"--trace-children-skip={image}")
            total += sum(sum(counts.values()) for part, counts in parts.items() if part.endswith(".1"))
    return total


def count(bench, variant):
    status, processes = calls.trace(variant.argv, variant.environment, subprocess.DEVNULL)
    if status != variant.status:
        raise runners.Failed(f"{variant.label} under strace ended with {status}, not {variant.status}")
    calls.attribute(processes, bench.build.shim)
    ours = sum(call.name not in calls.PROCESS_CALLS for process in processes for call in process.own)
    has_ours = variant.label.startswith((SHIM, "exlock"))
    number = f"{count_instructions(bench.build.folder, variant, processes):,}" if instructions.valgrind_folder() else "-"
    return [variant.label, len(processes), sum(len(chain(process)) for process in processes),
            sum(len(process.calls) for process in processes), ours if has_ours else "", number]


def hold_here(directory, name):
    """Makes this process the holder of NAME, as the library does in a directory in memory. Returns the marks for its children, which only they may have."""
    path = f"{directory}/py_exclusivelock_{name}.lock"
    with open("/proc/self/stat", encoding="utf-8") as file:
        start = int(file.read().rpartition(")")[2].split()[19])
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    os.utime(path, ns=(0, 1_000_000_000 + start % 1_000_000_000))
    status = os.stat(path)
    return {"PID": str(os.getpid()), "LOCKFILE": path,
            "INSTANCE": f"{os.getpid()}.{start}.{status.st_dev}.{status.st_ino}.{os.getsid(0)}"}


def count_all(bench, directory):
    build = bench.build
    variants = [variant for variant in cases.uncontended(bench, directory) if "ython" not in variant.label]
    rows = [count(bench, variant) for variant in variants if bench.size != "smoke" or variant.label in (BARE, SHIM)]
    with runners.running([build.preloaded(["/bin/sleep", "100000"], NAME="held")], directory, cases.all_hold):
        rows.append(count(bench, build.preloaded(cases.TRUE, cases.REFUSED_SHIM, 1, NAME="held")))
    rows.append(count(bench, build.preloaded(cases.TRUE, cases.CHILD, **hold_here(directory, "here"))))
    rows.append(count(bench, build.preloaded(cases.TRUE, "libexlock.so, not ONLY", ONLY="nothing")))
    return rows


def case_counts(bench):
    """System calls and instructions."""
    if not shutil.which("strace"):
        raise runners.Failed("strace is needed")
    own = dict(os.environ)
    with runners.folder(bench.memory) as directory:
        # What is traced has our environment.
        os.environ.clear()
        os.environ.update(runners.ENVIRONMENT, EXCLUSIVELOCK_DIR=directory)
        try:
            rows = count_all(bench, directory)
        finally:
            os.environ.clear()
            os.environ.update(own)
    tables.title("What does not depend on time: a start and end of /bin/true")
    tables.table(["", "processes", "programs", "system calls", "of them ours", "instructions"], rows)
