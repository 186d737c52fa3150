# SPDX-License-Identifier: MIT
"""One run of a program, and all that it leaves to be seen."""
import fcntl
import os
import re
import select
import shutil
import signal
from typing import NamedTuple

TIMEOUT = "timeout"


class Seen(NamedTuple):
    """What is compared. The status is the exit status, minus the number of the signal, or TIMEOUT."""

    status: object
    output: bytes
    messages: bytes
    files: tuple

    def without_numbers(self):
        """For programs that tell PIDs, times and addresses."""
        return Seen(self.status, *(re.sub(rb"0x[0-9a-f]+|\d+", b"#", text) for text in self[1:3]), ())


class Place:
    """A folder that looks new, by the same name, for each run; the lock directory beside it is for one program."""

    def __init__(self, folder, seconds):
        self.home = f"{folder}/home"
        self.locks = f"{folder}/locks"
        self.results = [f"{folder}/output", f"{folder}/messages"]
        self.seconds = seconds
        self.environment = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": self.home,
            "PWD": self.home,
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "EXCLUSIVELOCK_DIR": self.locks,
        }
        os.makedirs(self.locks, exist_ok=True)

    def run(self, path, option, shim=None):
        """Runs PATH OPTION with its input closed, under SHIM if there is one."""
        shutil.rmtree(self.home, ignore_errors=True)
        os.mkdir(self.home)
        os.chdir(self.home)
        environment = {**self.environment, "LD_PRELOAD": shim} if shim else self.environment
        actions = [(os.POSIX_SPAWN_CLOSE, 0)]
        for number, result in enumerate(self.results, 1):
            actions.append((os.POSIX_SPAWN_OPEN, number, result, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600))
        try:
            pid = os.posix_spawn(path, [os.path.basename(path), option], environment, file_actions=actions, setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
        except OSError as error:
            return Seen(f"does not start: {error.strerror}", b"", b"", ())
        status = self.wait(pid)
        return Seen(status, *map(contents, self.results), tuple(sorted(tree(self.home))))

    def wait(self, pid):
        """Waits for PID, then ends what is left of its group; only then is its number free for others."""
        pidfd = os.pidfd_open(pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        in_time = poller.poll(self.seconds * 1000)
        os.close(pidfd)
        os.killpg(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status if in_time else TIMEOUT

    def forget_locks(self):
        """Leaves an empty lock directory that looks old, for took_lock() to see a change."""
        for name in os.listdir(self.locks):
            os.unlink(f"{self.locks}/{name}")
        os.utime(self.locks, (0, 0))

    def took_lock(self):
        return os.stat(self.locks).st_mtime != 0

    def held_locks(self):
        """The lock files that somebody still has."""
        return [name for name in os.listdir(self.locks) if is_held(f"{self.locks}/{name}")]


def is_held(path):
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        try:
            os.kill(int(file.read() or 0), 0)
        except (ProcessLookupError, ValueError):
            return False
        except PermissionError:
            pass
        return True


def contents(path):
    with open(path, "rb") as file:
        # What a program that does not end wrote may be without end.
        return file.read(1 << 22)


def tree(folder):
    for where, folders, files in os.walk(folder):
        for name in folders + files:
            yield os.path.relpath(os.path.join(where, name), folder)
