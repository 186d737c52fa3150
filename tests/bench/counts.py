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
from variants import BARE, PREFIX, SHIM


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


def marks(pid):
    """What a holder has put into its environment for its children."""
    with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
        variables = dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)
    return {name[len(PREFIX):]: value for name, value in variables.items() if name.startswith(PREFIX)}


def count_all(bench, directory):
    build = bench.build
    variants = [variant for variant in cases.uncontended(bench, directory) if "ython" not in variant.label]
    rows = [count(bench, variant) for variant in variants if bench.size != "smoke" or variant.label in (BARE, SHIM)]
    # A variable that is there, with room in it, is filled in where we can read it.
    room = {name: "x" * 200 for name in ("PID", "LOCKFILE", "INSTANCE")}
    with runners.running([build.preloaded(["/bin/sleep", "100000"], NAME="held", **room)], directory, cases.all_hold) as holders:
        rows.append(count(bench, build.preloaded(cases.TRUE, cases.REFUSED_SHIM, 1, NAME="held")))
        rows.append(count(bench, build.preloaded(cases.TRUE, cases.CHILD, **marks(holders[0].pid))))
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
