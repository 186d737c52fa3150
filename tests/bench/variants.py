# SPDX-License-Identifier: MIT
"""What is measured against each other: our own, its peers, and the yardsticks."""
import os
import shutil
from dataclasses import dataclass, field, replace

BARE = "bare"
EMPTY = "empty library"
EMPTY_ALONE = "empty library, no libc"
SHIM = "libexlock.so"
LAUNCH = "exlock-launch"
LAUNCH_P = "exlock-launch -P"
FLOCK = "flock -n"
FLOCK_WAIT = "flock"

PREFIX = "EXCLUSIVELOCK_"
MARKS = {PREFIX + name: "" for name in ("PID", "LOCKFILE", "INSTANCE", "NAME")}


@dataclass
class Variant:
    label: str
    argv: list
    environment: dict = field(default_factory=dict)
    status: int = 0

    def line(self):
        assignments = [f"{name}={value}" for name, value in self.environment.items()]
        return "\t".join([self.label, str(self.status), *assignments, *self.argv])

    def labelled(self, label):
        return replace(self, label=label)


@dataclass
class Peer:
    """A wrapper that runs a command under a lock file: how it is told to refuse, with which status, and how to wait; None: it cannot."""
    label: str
    program: str
    refuse: list
    status: int
    wait: list

    def available(self):
        return shutil.which(self.program) is not None

    def refusing(self, file, command, held=False):
        return Variant(self.label, [shutil.which(self.program), *self.refuse, file, *command], status=self.status if held else 0)

    def waiting(self, file, command):
        return Variant(self.label, [shutil.which(self.program), *self.wait, file, *command])


PEERS = [
    Peer("flock -n", "flock", ["-n"], 1, []),
    Peer("flock -F -n", "flock", ["-F", "-n"], 1, ["-F"]),
    Peer("setlock", "setlock", ["-n"], 111, []),
    Peer("s6-setlock", "s6-setlock", ["-n"], 1, []),
    Peer("chpst", "chpst", ["-L"], 111, ["-l"]),
    Peer("lckdo", "lckdo", [], 75, ["-w"]),
    Peer("with-lock-ex", "with-lock-ex", ["-f"], 255, ["-w"]),
]


def available_peers():
    return [peer for peer in PEERS if peer.available()]


class Build:
    """The folder with everything that is built; what is there, and how it is used."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.shim = os.path.join(self.folder, "libexlock.so")
        self.launch = os.path.join(self.folder, "exlock-launch")
        self.tools = os.path.join(self.folder, "tests", "bench")
        self.subject = os.path.join(self.tools, "subject")
        self.source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

    def preloaded(self, command, label=SHIM, status=0, **variables):
        environment = {PREFIX + name: value for name, value in variables.items()}
        return Variant(label, list(command), {**environment, "LD_PRELOAD": self.shim}, status)

    def launched(self, command, *options, label=LAUNCH, status=0):
        return Variant(label, [self.launch, *options, *command], status=status)

    def empty(self, command, label=EMPTY, library="libempty.so"):
        return Variant(label, list(command), {"LD_PRELOAD": os.path.join(self.tools, library)})

    def yardsticks(self, command):
        return [Variant(BARE, list(command)), self.empty(command), self.empty(command, EMPTY_ALONE, "libempty-alone.so")]

    def python(self):
        """What Python's own protocol costs, in a program that does nothing else; and Python without it."""
        enter = "import exclusive; e = exclusive.exclusive('bench'); e.__enter__(); e.__exit__(None, None, None)"
        where = {"PYTHONPATH": os.path.join(self.source, "tests", "peers"), "PYTHONDONTWRITEBYTECODE": "1"}
        interpreter = "/usr/bin/python3"
        if not os.path.exists(interpreter):
            return []
        return [Variant("python3 alone", [interpreter, "-c", "pass"]),
                Variant("Python's protocol", [interpreter, "-c", enter], where)]
