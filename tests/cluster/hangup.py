#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# hangup.py LAUNCHER [OPTION...]: the launcher leads the session of a terminal, as one does that ssh -t runs, and the terminal goes away.
import os, pty, sys, time

COMMAND = ["sh", "-c", 'trap "exit 9" HUP; echo ready.; while :; do sleep 0.1; done']

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:] + COMMAND)
seen = b""
while b"ready." not in seen:
    seen += os.read(terminal, 65536)
os.close(terminal)
for _ in range(1000):
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        sys.exit(print("ended with", os.waitstatus_to_exitcode(status)))
    time.sleep(0.01)
os.kill(pid, 9)
os.waitpid(pid, 0)
sys.exit("it runs on")
