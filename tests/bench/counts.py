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
from variants import SHIM


def chain(process):
    """The programs that a process became."""
    return [call.arguments.split('"')[1] for call in process.calls if call.name == "execve" and call.result == "0"]


def instruction_count(variant, processes):
    """Of all together. What callgrind counts of a program is lost when the process becomes two others after it, one after the other: then it
    is counted by itself, with what follows left out."""
    total = sum(instructions.count(variant.argv, variant.environment).values())
    for process in processes:
        for before, image in zip(chain(process), chain(process)[1:-1]):
            parts = instructions.run(variant.argv, variant.environment, f"--trace-children-skip={image}")
            total += sum(sum(counts.values()) for part, counts in parts.items() if part.endswith(".1"))
    return total


def count(bench, variant):
    status, processes = calls.trace(variant.argv, variant.environment, subprocess.DEVNULL)
    if status != variant.status:
        raise runners.Failed(f"{variant.label} under strace ended with {status}, not {variant.status}")
    calls.attribute(processes, bench.build.shim)
    ours = sum(call.name not in calls.PROCESS_CALLS for process in processes for call in process.own)
    has_ours = variant.label.startswith((SHIM, "exlock"))
    images = sum(len(chain(process)) for process in processes)
    number = f"{instruction_count(variant, processes):,}" if shutil.which("valgrind") else "-"
    return [variant.label, len(processes), images, sum(len(process.calls) for process in processes), ours if has_ours else "", number]


def case_counts(bench):
    """System calls and instructions."""
    if not shutil.which("strace"):
        raise runners.Failed("strace is needed")
    rows = []
    with runners.folder(bench.memory) as directory:
        own = dict(os.environ)
        # For what is traced, too.
        os.environ.clear()
        os.environ.update(runners.ENVIRONMENT, EXCLUSIVELOCK_DIR=directory)
        try:
            rows = [count(bench, variant) for variant in cases.uncontended(bench, directory) if "ython" not in variant.label]
            with runners.running([bench.build.preloaded(["/bin/sleep", "100000"], NAME="held")], directory, cases.all_hold):
                rows.append(count(bench, bench.build.preloaded(cases.TRUE, cases.REFUSED_SHIM, 1, NAME="held")))
            rows.append(count(bench, bench.build.preloaded(cases.TRUE, "libexlock.so, not ONLY", ONLY="nothing")))
        finally:
            os.environ.clear()
            os.environ.update(own)
    tables.title("What does not depend on time: a start and end of /bin/true")
    tables.table(["", "processes", "programs", "system calls", "of them ours", "instructions"], rows)
