# SPDX-License-Identifier: MIT
"""failures.py BUILD ETCD TTL: what becomes of a command, and when the next host's begins, after each failure; on the cluster in ETCD (etcd.bash), whose
members keep their data on disks of their own (disk.bash) if one is to be frozen. Prints a table: when the command was asked to end, when it was
gone, with which status its launcher ended, and when a start that was waiting on another host began, in seconds after the failure.
"""
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import processes
from members import Members
from proxy import Proxy

COMMAND = """import os, signal, time
def asked(*_): os.write(1, b"asked %d\\n" % time.monotonic_ns())
signal.signal(signal.SIGTERM, asked)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
os.write(1, b"begin %d %d\\n" % (time.monotonic_ns(), os.getpid()))
while True: time.sleep(1000)
"""


class Launched(threading.Thread):
    """A launcher on HOST with a command that notes that it is asked to end, and goes on."""

    def __init__(self, table, name, host, endpoints):
        super().__init__(daemon=True)
        folder = f"{table.folder}/{host}-{name}"
        os.makedirs(folder, exist_ok=True)
        self.begin = self.asked = self.gone = None
        self.process = subprocess.Popen(
            [table.build + "/exlock-launch", f"--cluster={endpoints}", f"--ttl={table.ttl}", "--wait", "-n", name, "/usr/bin/python3", "-c", COMMAND],
            env=os.environ | {"EXCLUSIVELOCK_DIR": folder, "EXCLUSIVELOCK_CLUSTER_HOST": host},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(f"{folder}/errors", "w"), text=True,
        )
        self.start()

    def run(self):
        for line in self.process.stdout:
            word, when, *rest = line.split()
            if word == "begin":
                self.pid = int(rest[0])
                self.begin = int(when)
            elif not self.asked:
                self.asked = int(when)
        self.gone = time.monotonic_ns()

    def warden(self):
        return processes.parent_of(self.pid)

    def await_begin(self, seconds):
        end = time.monotonic() + seconds
        while not self.begin and time.monotonic() < end:
            time.sleep(0.002)
        return self.begin

    def finish(self):
        if self.begin and self.gone is None:
            processes.send(self.pid, signal.SIGUSR1)
        elif not self.begin:
            self.process.terminate()
        return self.process.wait(60)


class Table:
    def __init__(self, build, etcd, ttl, folder):
        self.build, self.ttl, self.folder = build, int(ttl), folder
        self.members = Members(etcd)

    def wanted(self, words):
        return re.search(os.environ.get("FAILURES", ""), words)

    def row(self, words, fail, heal=None, endpoints=None, waits=2.5):
        if not self.wanted(words):
            return
        name = words.replace(" ", "-").replace("'", "")
        proxy = Proxy(self.build + "/tests/faultproxy", 1, self.members)
        holder = Launched(self, name, "host1", endpoints and endpoints() or proxy.endpoints("host0"))
        holder.await_begin(20)
        waiter = Launched(self, name, "host2", ",".join(self.members.clients))
        # In the middle between two renewals.
        time.sleep(self.ttl * 3 / 8)
        failed = time.monotonic_ns()
        undo = fail(holder, proxy)
        waiter.await_begin(waits * self.ttl)
        went_on = holder.gone is None and not waiter.begin
        if went_on:
            print(f"{words:46}    goes on", flush=True)
            words, failed = "    when that is over", time.monotonic_ns()
        if heal:
            heal(undo)
            waiter.await_begin(20 if not went_on else 5)
        time.sleep(0.3)
        ended = holder.gone is not None
        status = holder.finish()
        if os.environ.get("TRAIL"):
            print(open(f"{self.folder}/host1-{name}/errors").read(), file=sys.stderr)
        holder.join(10)
        waiter.await_begin(10)
        waiter.finish()
        proxy.end()
        if ended:
            times = "".join(f"{said(when, failed):>9}" for when in (holder.asked, holder.gone, waiter.begin))
            print(f"{words:44}{times}{status:>8}", flush=True)

    def sleep_host(self, holder):
        family = [holder.process.pid, holder.warden(), holder.pid]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        return family

    def alone(self):
        rows = [
            ("the command ends", lambda h, p: processes.send(h.pid, signal.SIGUSR1)),
            ("the keeper is killed", lambda h, p: os.kill(h.process.pid, signal.SIGKILL)),
            ("the keeper is stopped", lambda h, p: stop(h.process.pid), lambda pid: os.kill(pid, signal.SIGCONT)),
            ("the warden is killed", lambda h, p: os.kill(h.warden(), signal.SIGKILL)),
            ("the warden is stopped", lambda h, p: stop(h.warden()), lambda pid: os.kill(pid, signal.SIGCONT)),
            ("the host is cut off", lambda h, p: (p.tell("*", "drop"), None)[1]),
            ("renewals alone are answered", lambda h, p: (p.tell("*", "renewals"), None)[1]),
            ("the key is deleted", lambda h, p: subprocess.run(["etcdctl", "del", "--prefix", "the-key-is-deleted/"], stdout=subprocess.DEVNULL)),
            ("the host sleeps", lambda h, p: self.sleep_host(h), lambda family: [os.kill(pid, signal.SIGCONT) for pid in family]),
        ]
        rows = [row for row in rows if self.wanted(row[0])]
        with concurrent.futures.ThreadPoolExecutor(len(rows) + 1) as pool:
            list(pool.map(lambda row: self.row(*row), rows))

    def leader_client(self):
        return self.members.clients[self.members.leader()]

    def members_fail(self):
        def end(members, number):
            for member in members:
                self.members.signal(member, number)
            return members

        def back(members):
            end(members, signal.SIGCONT)

        leader = self.members.leader
        self.row("the leader is stopped", lambda h, p: end([leader()], signal.SIGSTOP), back)
        self.settle()
        self.row("most members are stopped", lambda h, p: end([0, 1], signal.SIGSTOP), back, waits=1.5)
        self.settle()
        if self.members.has_disks():
            self.row("the leader's disk hangs", self.hang, self.members.thaw)
            self.settle()
            self.row("the leader's disk hangs, no other endpoint", self.hang, self.members.thaw, endpoints=self.leader_client)

    def hang(self, *_):
        """What hangs is a write: until there is one the leader is none the worse."""
        freezer = self.members.freeze(self.members.leader())
        for member in self.members:
            subprocess.Popen(
                ["timeout", "3", "etcdctl", "--endpoints", self.members.clients[member], "put", "any", "value"],
                env={key: value for key, value in os.environ.items() if key != "ETCDCTL_ENDPOINTS"},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        return freezer

    def settle(self):
        while not self.members.are_healthy():
            time.sleep(0.1)
        time.sleep(2)


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    return pid


def said(when, since):
    return "-" if when is None else f"{(when - since) / 1e9:.2f}"


def main():
    build, etcd, ttl = sys.argv[1:]
    print(f"{'TTL ' + ttl + ' s':44}{'asked':>9}{'gone':>9}{'next':>9}{'status':>8}")
    with tempfile.TemporaryDirectory(prefix="exlock-failures.") as folder:
        table = Table(build, etcd, ttl, folder)
        table.alone()
        table.members_fail()


if __name__ == "__main__":
    main()
