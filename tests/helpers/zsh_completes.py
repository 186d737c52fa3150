#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""zsh_completes.py FOLDER LINE WORD: types LINE and a tabulator into a zsh that has FOLDER's completions; 0 once it shows WORD."""
import os
import pty
import select
import signal
import sys

SECONDS = 20
folder, line, word = sys.argv[1:]


def read_until(needle):
    """Reads what zsh prints until NEEDLE is in it; ends this process when nothing more comes."""
    seen = b""
    while needle.encode() not in seen:
        if not select.select([terminal], [], [], SECONDS)[0]:
            os.kill(zsh, signal.SIGKILL)
            sys.exit(f"never seen: {needle}; but: {seen!r}")
        seen += os.read(terminal, 4096)


zsh, terminal = pty.fork()
if zsh == 0:
    os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "FOLDER": folder})
setup = "PS1='' RPS1=''; fpath=($FOLDER $fpath); autoload -Uz compinit; compinit -u -D; echo lo''aded\n"
os.write(terminal, setup.encode())
read_until("loaded")
# What the terminal echoes is the line alone, so the word must come from the completion.
os.write(terminal, line.encode() + b"\t")
read_until(word)
os.kill(zsh, signal.SIGKILL)
os.waitpid(zsh, 0)
