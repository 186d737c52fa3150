#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""instructions.py OBJECT [-e NAME=VALUE]... COMMAND [ARG...]: prints how many instructions a command runs in an object file, such as a
library, and "of", and how many in all, by valgrind's callgrind: the same for every run, whatever else goes on with the machine.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile


def of_objects(path):
    """Instructions by object, from a file that callgrind has written: after `calls=` comes what others did."""
    names, counts, current, skip = {}, {}, None, False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = re.match(r"(c?)ob=\((\d+)\)(?: (.*))?", line)
            if found:
                if found[3]:
                    names[found[2]] = found[3]
                if not found[1]:
                    current = names[found[2]]
            elif line.startswith("calls="):
                skip = True
            elif re.match(r"[0-9+*-]", line):
                if not skip:
                    counts[current] = counts.get(current, 0) + int(line.split()[1])
                skip = False
    return counts


def run(command, environment, *options):
    """The counts of each image that ran, by process and part: a part ends where a process makes another one or becomes another program."""
    with tempfile.TemporaryDirectory() as folder:
        changes = [f"{name}={value}" for name, value in environment.items() if value]
        removed = [option for name, value in environment.items() if not value for option in ("-u", name)]
        # Without freeing libc's memory at the end, which ends in a crash where libc has not begun yet: in a start that is refused.
        subprocess.run(["valgrind", "-q", "--tool=callgrind", "--trace-children=yes", "--run-libc-freeres=no", "--dump-before=execve",
                        "--dump-before=fork", "--dump-before=vfork", "--dump-before=_Fork", *options, f"--callgrind-out-file={folder}/%p", "/usr/bin/env",
                        *removed, *changes, *command], check=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        parts = {}
        for path in glob.glob(f"{folder}/*"):
            with open(path, encoding="utf-8", errors="replace") as lines:
                image = next((line for line in lines if line.startswith("cmd:")), "")
            if not image.startswith("cmd:  /usr/bin/env "):
                parts[os.path.basename(path)] = of_objects(path)
        return parts


def count(command, environment, *options):
    """Instructions by object, of all images together."""
    total = {}
    for counts in run(command, environment, *options).values():
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return total


def main():
    name, *words = sys.argv[1:]
    environment = {}
    while words and words[0] == "-e":
        variable, _, value = words[1].partition("=")
        environment[variable] = value
        words = words[2:]
    counts = count(words, environment)
    print(counts.get(name, 0), "of", sum(counts.values()))


if __name__ == "__main__":
    main()
