#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""report.py LINES BRANCHES EXPLAINED: a table, and what the tests have not reached.

LINES and BRANCHES are what llvm-cov exports as lcov and as JSON. EXPLAINED has one explanation a line, with tabs between:
FILE:FUNCTION, the text of one line of the code there, and why no test reaches it. It counts for the whole run of lines not
reached around that one. Ends with 1 when a line was not reached and is not explained, or when what is explained is not there.
"""
import json
import os
import re
import sys


class Source:
    """One file of src/, and what was counted in it."""

    def __init__(self, path):
        self.name = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            self.lines = [""] + file.read().split("\n")
        self.functions = {}
        self.counts = {}
        self.branches = []
        self.branches_summary = {}

    def key(self, line):
        """Returns what names this line in EXPLAINED: where it moves to in the file does not matter."""
        starts = [start for start in self.functions if start <= line]
        function = self.functions[max(starts)] if starts else ""
        return f"{self.name}:{function}", self.lines[line].strip()

    def missed_runs(self):
        """Returns the runs of lines, one directly after another, that no test has reached."""
        runs = []
        for line in sorted(line for line, count in self.counts.items() if count == 0):
            if runs and line == runs[-1][-1] + 1:
                runs[-1].append(line)
            else:
                runs.append([line])
        return runs

    def missed_branches(self):
        """Yields the conditions that have been reached, but have never been true or never false."""
        for line, column, last_line, last_column, true, false, *_ in self.branches:
            if bool(true) != bool(false):
                condition = self.lines[line][column - 1 : last_column - 1 if line == last_line else None]
                yield line, condition, "false" if true else "true"


def read_sources(lines_path, branches_path):
    sources = {}
    with open(lines_path, encoding="utf-8") as file:
        for record in file:
            key, _, value = record.strip().partition(":")
            if key == "SF":
                source = sources[value] = Source(value)
            elif key == "FN":
                line, function = value.split(",")
                source.functions[int(line)] = function.rpartition(":")[2]
            elif key == "DA":
                line, count = map(int, value.split(",")[:2])
                # Of a macro, the place where it is used is what counts.
                if not source.lines[line].startswith("#"):
                    source.counts[line] = count
    with open(branches_path, encoding="utf-8") as file:
        for entry in json.load(file)["data"][0]["files"]:
            source = sources[entry["filename"]]
            source.branches = entry["branches"]
            source.branches_summary = entry["summary"]["branches"]
    return [source for path, source in sources.items() if source.functions and "/src/" in path]


def read_explained(path):
    """Returns the explanations by the keys of their lines."""
    explained = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                place, code, reason = re.split(r"\t+", line.strip())
                explained[place, code] = reason
    return explained


def percent(part, whole):
    return f"{part:5} of {whole:5} {100 * part / whole if whole else 100:6.1f}%"


def print_table(sources):
    totals = [0, 0, 0, 0]
    print(f"{'':20}{'lines':>20} {'branches':>20}")
    for source in sources:
        branches = source.branches_summary
        numbers = [sum(count > 0 for count in source.counts.values()), len(source.counts), branches["covered"], branches["count"]]
        totals = [total + number for total, number in zip(totals, numbers)]
        print(f"{source.name:20}{percent(*numbers[:2])} {percent(*numbers[2:])}")
    print(f"{'all':20}{percent(*totals[:2])} {percent(*totals[2:])}")


def print_branches(sources):
    print("\nConditions that were only ever true, or only ever false:")
    for source in sources:
        for line, condition, never in source.missed_branches():
            print(f"{source.name}:{line}: never {never}: {condition}")


def print_lines(sources, explained):
    """Prints the lines that were not reached; returns how many of them are not explained."""
    missing = []
    print("\nLines that were not reached, and why:")
    for source in sources:
        for run in source.missed_runs():
            reasons = {explained[source.key(line)] for line in run if source.key(line) in explained}
            if reasons:
                print(f"{source.name}:{run[0]}-{run[-1]}: {'; '.join(sorted(reasons))}")
            else:
                missing += [(source, line) for line in run]
    if missing:
        print("\nLines that were not reached, and nothing in tests/coverage/explained says why:")
    for source, line in missing:
        print(f"{source.name}:{line}: {source.lines[line]}")
    return len(missing)


def print_stale(sources, explained):
    """Prints the explanations of what is not in the code; returns how many there are."""
    there = {source.key(line) for source in sources for line in source.counts}
    stale = sorted(set(explained) - there)
    if stale:
        print("\nExplained in tests/coverage/explained, but not in the code:")
    for place, code in stale:
        print(f"{place}: {code}")
    return len(stale)


def main():
    sources = sorted(read_sources(sys.argv[1], sys.argv[2]), key=lambda source: source.name)
    explained = read_explained(sys.argv[3])
    print_branches(sources)
    bad = print_lines(sources, explained) + print_stale(sources, explained)
    print()
    print_table(sources)
    sys.exit(1 if bad else 0)


main()
