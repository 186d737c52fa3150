# SPDX-License-Identifier: MIT
"""Where strange programs can do no harm: namespaces of their own, nothing writable but memory, no privileges."""
import ctypes
import os
import subprocess
import sys

AT_FDCWD = -100
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 1
SYS_MOUNT_SETATTR = 442
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
NOBODY = 65534
INSIDE = "EXLOCK_SWEEP_INSIDE"
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts", "--mount-proc"]

libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_read_only():
    """Every mount, at once; then memory where programs expect to write."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    call(libc.syscall, SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, ctypes.sizeof(attributes))
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    for folder in ("/tmp", "/var/tmp", "/run", "/dev/shm"):
        if os.path.isdir(folder):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "none", folder], check=True)


def drop_privileges():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Programs that are set-user-ID run, too, as what they are for the shim without that: ordinary.
    call(libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def enter():
    """As root: goes on in a place of its own, or ends the program with 77. As a user, whose programs can do no more than
    the user could: only sees to it that what they leave behind is this process's own to end."""
    if os.geteuid() != 0:
        call(libc.prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return
    if INSIDE not in os.environ:
        if subprocess.run([*NAMESPACES, "true"], check=False).returncode != 0:
            print("no namespaces to be had: not as root")
            sys.exit(77)
        os.environ[INSIDE] = "1"
        os.execvp(NAMESPACES[0], [*NAMESPACES, sys.executable, *sys.argv])
    make_read_only()
    drop_privileges()


def end_leftovers():
    """Ends every process that descends from this one."""
    while children := [int(name) for name in os.listdir("/proc") if name.isdigit() and parent(name) == os.getpid()]:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0
