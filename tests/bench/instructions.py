#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""instructions.py OBJECT [-e NAME=VALUE]... COMMAND [ARG...]: prints how many instructions a command runs in an object file, such as a
library, by valgrind's callgrind: the same for every run, whatever else goes on with the machine. EXLOCK_BUILD is the build folder.
"""
import glob
import os
import re
import subprocess
import tempfile

import commandline

FOLDERS = ("/usr/libexec/valgrind", "/usr/lib/*/valgrind", "/usr/lib/valgrind", "/usr/lib64/valgrind")
# A part ends, and another one begins, where a process makes another one or becomes another program. Without freeing libc's memory at the end,
# which ends in a crash where libc has not begun yet: in a start that is refused.
OPTIONS = ["-q", "--tool=callgrind", "--trace-children=yes", "--run-libc-freeres=no", "--dump-before=execve", "--dump-before=fork",
           "--dump-before=vfork", "--dump-before=_Fork"]


def valgrind_folder():
    """Where valgrind's programs are; None: it is not there."""
    return next((os.path.dirname(path) for pattern in FOLDERS for path in glob.glob(f"{pattern}/callgrind-*-linux")), None)


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


def run(build, command, environment, *options):
    """The counts of each image that ran: by process, and part."""
    own = {**os.environ, **environment, "VALGRIND_LIB": valgrind_folder()}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([f"{build}/tests/bench/callgrind", *OPTIONS, *options, f"--callgrind-out-file={folder}/%p", *command], check=False,
                       env={name: value for name, value in own.items() if value}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {os.path.basename(path): of_objects(path) for path in glob.glob(f"{folder}/*")}


def count(parts):
    """Instructions by object, of all parts together."""
    total = {}
    for counts in parts.values():
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return total


def main():
    file, environment, command = commandline.parse()
    print(count(run(os.environ["EXLOCK_BUILD"], command, environment)).get(file, 0))


if __name__ == "__main__":
    main()
