#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures what exlock costs; see scripts/bench, which builds and then calls this."""
import argparse
import os
import platform
import subprocess
import sys

import cases
import counts
import picture
import runners
import targets
from variants import Build


def memory_folder():
    """A folder in memory, if there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else os.environ.get("TMPDIR", "/tmp")


def describe(bench):
    def kind(folder):
        return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()

    print(f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs; lock directories in memory: {kind(bench.memory)}, on a disk: "
          f"{kind(bench.disk)}", flush=True)


def go_first():
    """What others want of the CPUs is not measured then. Whether it could be done."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError as error:
        print(f"Not before all others: {error.strerror}.")
        return False
    return True


def warn_of_load(load):
    """Who else works here is measured, too."""
    if load > os.cpu_count() / 2:
        print(f"\nThe load was {load:.1f} already at the beginning: others were at work, and the figures say little.")


def arguments(every_case):
    parser = argparse.ArgumentParser(prog="bench", description="Measures what exlock costs beside what others do.")
    parser.add_argument("build", help=argparse.SUPPRESS)
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", default="full",
                        help="a minute, instead of some five, with less to rely on")
    parser.add_argument("--smoke", dest="size", action="store_const", const="smoke", help="seconds: shows that it runs, and nothing else")
    parser.add_argument("--realtime", action="store_true", help="goes before all others (SCHED_FIFO), where that is allowed")
    parser.add_argument("--cpu", type=int, metavar="N", help="pins what is measured to one CPU")
    parser.add_argument("--picture", metavar="FILE", help="draws the case `start` as SVG")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=" ".join(every_case))
    options = parser.parse_intermixed_args()
    unknown = [name for name in options.cases if name not in every_case]
    if unknown:
        parser.error(f"no such case: {unknown[0]}; there are {' '.join(every_case)}")
    return options


def main():
    every_case = {**cases.ALL, "counts": counts.case_counts}
    options = arguments(every_case)
    build = Build(options.build)
    bench = cases.Bench(build, memory_folder(), build.folder, options.size, options.cpu)
    failed = False
    first = options.realtime and go_first()
    load = os.getloadavg()[0]
    describe(bench)
    for name, case in every_case.items():
        if options.cases and name not in options.cases:
            continue
        try:
            case(bench)
        except runners.Failed as error:
            print(f"\n{name}: {error}", file=sys.stderr)
            failed = True
        sys.stdout.flush()
    targets.report(bench.facts)
    if not first:
        warn_of_load(load)
    if options.picture and "start" in bench.facts:
        picture.draw(bench.facts["start"], options.picture)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
