# SPDX-License-Identifier: MIT
"""freeze.py PID FOLDER: stops all writing to the file system of FOLDER, as process PID sees it, as fsfreeze(8) does. Says "frozen".
Ends that when its standard input ends, and in any case after a minute: what is frozen cannot even be killed."""
import fcntl
import os
import select
import sys

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878

path = "/proc/%s/root%s" % tuple(sys.argv[1:])
folder = os.open(path, os.O_RDONLY)
if os.fstat(folder).st_dev == os.stat(os.path.dirname(path)).st_dev:
    sys.exit("freeze.py: %s is no file system of its own: all that is written beside it would hang, too" % sys.argv[2])
fcntl.ioctl(folder, FIFREEZE, 0)
try:
    print("frozen", flush=True)
    select.select([sys.stdin], [], [], 60)
finally:
    fcntl.ioctl(folder, FITHAW, 0)
