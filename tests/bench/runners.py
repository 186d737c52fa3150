# SPDX-License-Identifier: MIT
"""Runs the programs that measure, and what has to be there meanwhile."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

# Whatever the caller has in the environment is no part of it. A locale costs flock(1) half as much again; cron(8) sets none.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
PATIENCE = 300


@dataclass
class Figure:
    median: float
    low: float
    high: float
    cpu: float = 0
    faults: int = 0
    rounds: int = 0


class Failed(Exception):
    pass


def run(command, plan, directory, environment=None):
    """Runs a runner with variants on its standard input; returns the fields of the lines that it prints."""
    own = {**ENVIRONMENT, "EXCLUSIVELOCK_DIR": directory, **(environment or {})}
    with tempfile.TemporaryFile("w+") as lines:
        lines.write("".join(variant.line() + "\n" for variant in plan))
        lines.seek(0)
        process = subprocess.Popen(command, stdin=lines, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own,
                                   start_new_session=True)
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            errors = "does not end"
        if process.returncode != 0:
            # It may leave behind whom it started, waiting for one another.
            end_group(process.pid)
            process.communicate()
            raise Failed(f"{os.path.basename(command[0])}: {errors.strip()}")
    if errors:
        print(errors.strip(), file=sys.stderr)
    return [line.split("\t") for line in output.splitlines()]


def end_group(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def start(build, plan, directory, effort, cpu=None, environment=None):
    """Figures by label and phase."""
    pin = [] if cpu is None else ["-c", str(cpu)]
    command = [os.path.join(build.tools, "bench-start"), *pin, str(effort[0]), str(effort[1])]
    figures = {}
    for label, phase, median, low, high, cpu, faults, rounds in run(command, plan, directory, environment):
        figures[label, phase] = Figure(float(median), float(low), float(high), float(cpu), int(faults), int(rounds))
    return figures


@contextlib.contextmanager
def folder(parent):
    """A lock directory of its own. What is in it may be too much for one look at all of it, and nobody uses it any more."""
    path = tempfile.mkdtemp(prefix="exlock-bench.", dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(variants, directory, ready):
    """Has each of the variants in the background, once ready() says that they are."""
    environment = {**ENVIRONMENT, "EXCLUSIVELOCK_DIR": directory}
    processes = []
    try:
        for variant in variants:
            processes.append(subprocess.Popen(variant.argv, env={**environment, **variant.environment},
                                              stdout=subprocess.DEVNULL, start_new_session=True))
        deadline = time.monotonic() + 20
        while not ready(processes):
            if time.monotonic() > deadline:
                raise Failed("who is to hold the locks does not come to it")
            time.sleep(0.01)
        yield processes
    finally:
        for process in processes:
            end_group(process.pid)
            process.wait()
