#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# terminal.py LAUNCHER [OPTION...]: an interactive shell on a terminal runs the launcher, and the keys are pressed that send signals.
import os, pty, re, select, shlex, sys

LAUNCHER = " ".join(map(shlex.quote, sys.argv[1:]))
# Counts what it gets, and says so on its terminal.
COMMAND = """sh -c 'n=0; trap "n=\\$((n + 1)); echo int-\\$n." INT; echo ready-$(($(ps -o tpgid= -p $$) == $(ps -o pgid= -p $$))).
while :; do read -r line && echo "line-$line." && [ "$line" != bye ] || { [ "$line" = bye ] && echo "bye-$n." && exit 6; }; done'"""

pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(PS1="$ ", HISTFILE="/dev/null")
    os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
seen = ""


def press(text, expected):
    """Sends TEXT, and reads until EXPECTED, a pattern, comes after it."""
    global seen
    seen = ""
    os.write(terminal, text.encode())
    while not re.search(expected, seen):
        if not select.select([terminal], [], [], 20)[0]:
            sys.exit(f"after {text!r} there came no {expected!r}, but {seen!r}")
        seen += os.read(terminal, 65536).decode(errors="replace")
    if os.environ.get("TRAIL"):
        print(repr(text), repr(seen), flush=True)


press("stty -echo; set +H\n", r"\$ ")
press(f"{LAUNCHER} {COMMAND}\n", r"ready-1\.")
press("one\n", r"line-one\.")
press("\x03", r"int-1\.")
press("\x1a", r"Stopped.*\n")
press("jobs -l\n", r"Stopped")
press("fg\n", r"\n")
press("two\n", r"line-two\.")
press("\x03", r"int-2\.")
press("\x1a", r"Stopped.*\n")
press("fg\n", r"\n")
press("bye\n", r"bye-2\.(.|\n)*\$ ")
press("echo status-$?.\n", r"status-6\.")
press(f"{LAUNCHER} sh -c 'echo up.; exec sleep 1000'\n", r"up\.")
press("\x03", r"\$ ")
press("echo status-$?.\n", r"status-130\.")
press(f"{LAUNCHER} bash --norc --noprofile --noediting -i\n", r"\$ ")
press("echo job-$(($(ps -o tpgid= -p $$) == $(ps -o pgid= -p $$))).\n", r"job-1\.")
# A shell within it that suspends itself gives the terminal back, and takes it again.
press("echo inner-$((6 * 7)).; suspend\n", r"inner-42\.(.|\n)*Stopped(.|\n)*\$ ")
press("echo outer-$((6 * 8)).\n", r"outer-48\.")
press("fg\n", r"exlock-launch.*\n")
press("echo again-$((6 * 9)).; exit 5\n", r"again-54\.")
press("echo status-$?.\n", r"status-5\.")
os.write(terminal, b"exit\n")
os.waitpid(pid, 0)
print("all as it should be")
