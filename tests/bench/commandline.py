# SPDX-License-Identifier: MIT
"""The arguments of what counts: FILE [-e NAME=VALUE]... COMMAND [ARG...]."""
import sys


def parse():
    """The file, what the environment of the command is to have, and the command."""
    file, *words = sys.argv[1:]
    environment = {}
    while words and words[0] == "-e":
        name, _, value = words[1].partition("=")
        environment[name] = value
        words = words[2:]
    return file, environment, words
