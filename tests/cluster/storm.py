#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""storm.py FOLDER ETCD SECONDS TTL HELPERS LAUNCHER...: five hosts start a command again and again, each through its own ways to the
members of the cluster in ETCD (etcd.bash), while one disturbance after the other (disturbances.py) comes over them.

LAUNCHER is what makes the command exclusive, with {endpoints} in it for the host's; "etcdctl lock" is among the contenders, too. What is looked for: two that run at once (victim.c), a name that nobody gets although all is well again, an error
that nothing explains. FOLDER keeps the log. EXLOCK_CLUSTER_STORM_ONLY names the disturbances, if it is not to be all.
"""
import collections
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback

import disturbances
import processes
from members import Members
from proxy import Proxy

HOSTS = 5
TICK = 0.02
# Etcdctl's lease; and how long one may wait and run before it counts as hung.
PEER_TTL, PEER_TIME = 10, 40
REFUSED, WITHDRAWN, LOST, ERROR = 77, 79, 123, 125

Holder = collections.namedtuple("Holder", "host pid parent keeper fence children is_long")
# Whose process: HOST is None for one of etcdctl's among the contenders.
Start = collections.namedtuple("Start", "host children")


class Watchman(threading.Thread):
    """Asks a majority of the members whether the key of the command that is in still is there, all the time. A command that is there
    before the question and after it, and whose key is not, has outlived its lease."""

    def __init__(self, storm):
        super().__init__(daemon=True)
        self.storm, self.looks, self.beyond, self.ends, self.broken = storm, 0, {}, False, None

    def who(self):
        try:
            with open(self.storm.folder + "/oracle") as oracle:
                _, pid, _, fence, _, _ = oracle.read().split()
                return (pid, fence) if fence != "0" and processes.victim_lives(int(pid)) else None
        except (OSError, ValueError):
            return None

    def run(self):
        try:
            self.look()
        except Exception:
            self.broken = traceback.format_exc()

    def look(self):
        while not self.ends:
            before = self.who()
            revisions = before and self.storm.members.revisions("storm/")
            # Nobody can end it where all is stopped that could.
            if revisions is not None and before and not os.path.exists(f"{self.storm.folder}/stopped/{before[1]}"):
                self.looks += 1
                if int(before[1]) not in revisions and self.who() == before:
                    self.beyond.setdefault(before, time.monotonic())
                    print(f"storm: {before} is there without its key", file=sys.stderr)
            time.sleep(0.01)


class Storm:
    def __init__(self, folder, etcd, seconds, ttl, helpers, launcher):
        self.folder, self.ttl, self.victim, self.launcher = folder, ttl, helpers + "/cluster-victim", launcher
        self.members = Members(etcd)
        self.proxy = Proxy(helpers + "/faultproxy", HOSTS, self.members)
        self.until = time.monotonic() + seconds
        self.running = {}  # Popen -> Start
        self.peers_allowed = True
        self.long_ms = 20000 * ttl
        self.long_wanted = False  # by a disturbance: a command that does not end by itself
        self.sleeping = None  # the host that is
        self.kept = None  # the one that it has got
        self.calm_since = time.monotonic()
        self.count = dict.fromkeys(("launches", "refusals", "withdrawn", "errors", "kills", "disturbances", "unprovoked", "lost"), 0)
        self.longest_gap = 0.0
        os.makedirs(folder + "/stopped", exist_ok=True)
        open(folder + "/log", "w").close()
        self.watchman = Watchman(self)
        self.watchman.start()

    # What the victims have written.

    def log(self, word):
        with open(self.folder + "/log") as log:
            return [line for line in log if line.startswith(word)]

    def wins(self):
        return len(self.log("in "))

    def holder(self):
        """Who is in, unless it is one of etcdctl's."""
        try:
            with open(self.folder + "/oracle") as oracle:
                host, pid, parent, fence, children, life = oracle.read().split()
        except (OSError, ValueError):
            return None
        # The keeper is the command's parent, or the parent of that.
        keeper = int(parent) if self.is_running(int(parent)) else processes.parent_of(int(parent))
        if host not in self.proxy.hosts or not processes.victim_lives(int(pid)) or not self.is_running(keeper):
            return None
        return Holder(host, int(pid), int(parent), keeper, int(fence), children == "1", int(life) == self.long_ms)

    def is_running(self, pid):
        return any(process.pid == pid and process.returncode is None for process in self.running)

    # Starts and ends.

    def start(self, host):
        words = [word for word in ("stubborn", "children") if random.random() < 0.3]
        life = self.long_ms if self.long_wanted and host else random.choice((5, 50, 200))
        victim = [self.victim, self.folder, str(random.getrandbits(31)), str(life), *words]
        environment = dict(os.environ, EXCLUSIVELOCK_EXIT_CODE=str(REFUSED), EXCLUSIVELOCK_QUIET="1")
        if host is None:
            command = ["etcdctl", "lock", "--ttl", str(PEER_TTL), "storm", *victim]
        else:
            environment.update(
                EXCLUSIVELOCK_DIR=f"{self.folder}/{host}",
                EXCLUSIVELOCK_CLUSTER_HOST=host,
                EXCLUSIVELOCK_ON_HELD=random.choice(("abort", "wait", "wait")),
            )
            os.makedirs(f"{self.folder}/{host}", exist_ok=True)
            command = [word.format(endpoints=self.proxy.endpoints(host), ttl=self.ttl) for word in self.launcher] + victim
        with open(f"{self.folder}/errors", "a") as errors:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self.running[process] = Start(host, "children" in words)
        self.count["launches"] += 1

    def peers(self):
        return [process for process, start in self.running.items() if not start.host]

    def keep_starting(self):
        for host in self.proxy.hosts:
            mine = sum(start.host == host for start in self.running.values())
            if mine < 2 and host != self.sleeping and random.random() < (0.2 if mine == 0 else 0.02):
                self.start(host)
        if self.peers_allowed and not self.peers() and random.random() < 0.02:
            self.start(None)

    def reap(self):
        for process in list(self.running):
            status = process.poll()
            if status is None:
                continue
            host = self.running.pop(process).host
            self.count["refusals"] += status == REFUSED
            self.count["withdrawn"] += status == WITHDRAWN
            if status in (LOST, ERROR) and host:
                self.count["errors"] += 1
                # What was begun while all was not well may take a lease to show.
                if self.calm_since and time.monotonic() - self.calm_since > 2 * self.ttl:
                    self.count["unprovoked"] += 1
                    print(f"storm: {host} ended with {status} although nothing was wrong", file=sys.stderr)

    def tick(self, starting=True):
        if starting:
            self.keep_starting()
        before = time.monotonic()
        time.sleep(TICK)
        # A machine that lets nobody run is a disturbance, too.
        if self.calm_since and time.monotonic() - before > self.ttl / 8:
            self.calm_since = time.monotonic()
        self.reap()
        holder = self.holder()
        if holder and holder.is_long and holder != self.kept and not self.long_wanted:
            processes.send(holder.pid, signal.SIGUSR1)

    # Disturbances.

    def fail(self, words):
        self.count["lost"] += 1
        print(f"storm: {words}", file=sys.stderr)

    def without_peers(self):
        """Until none of etcdctl's is there: cut off from the members it would leave its key behind for a lease of its own."""
        self.peers_allowed = False
        end = time.monotonic() + PEER_TIME
        while self.peers():
            if time.monotonic() > end:
                print("storm: an etcdctl hangs", file=sys.stderr)
                for process in self.peers():
                    process.kill()
                # What it leaves behind.
                yield PEER_TTL + self.ttl
            yield TICK

    def members_are_back(self):
        end = time.monotonic() + 30
        while not self.members.are_healthy() and time.monotonic() < end:
            yield 5 * TICK
        if not self.members.are_healthy():
            self.fail("the members do not come back")
            self.members.print_logs()
        self.peers_allowed = True

    def disturb(self, disturbance):
        self.calm_since = None
        begun = time.monotonic()
        for seconds in disturbance(self):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                self.tick()
        self.count["disturbances"] += 1
        self.kept = None
        self.calm_since = time.monotonic()
        self.await_win(disturbance.__name__, begun)

    def await_win(self, name, begun):
        """All is well again: somebody gets in, at the latest when the lease of one that is gone has ended. A new leader begins
        every lease anew, so it may be two; a third is for the machine."""
        before, healed = self.wins(), time.monotonic()
        while self.wins() == before:
            if time.monotonic() - healed > 3 * self.ttl + 2:
                self.fail(f"nobody got in after {name}")
                return
            self.tick()
        self.longest_gap = max(self.longest_gap, time.monotonic() - healed)
        print(f"{name}: {healed - begun:.1f} s, the next one in after {time.monotonic() - healed:.2f} s", file=sys.stderr)

    def run(self):
        only = os.environ.get("EXLOCK_CLUSTER_STORM_ONLY", "").split()
        all_of_them = [disturbance for disturbance in disturbances.ALL if not only or disturbance.__name__ in only]
        pending = []
        self.await_win("nothing", time.monotonic())
        while time.monotonic() < self.until:
            if not pending:
                pending = random.sample(all_of_them, len(all_of_them))
            self.disturb(pending.pop())
        self.finish()

    def finish(self):
        end = time.monotonic() + 20 * self.ttl
        while self.running and time.monotonic() < end:
            self.tick(starting=False)
        for process in self.running:
            self.fail(f"still there: {process.args}")
            process.send_signal(signal.SIGKILL)
        self.watchman.ends = True
        self.watchman.join()
        if self.watchman.broken:
            self.fail(self.watchman.broken)
        self.proxy.end()

    def report(self):
        overlaps = self.log("overlap") + self.log("not rising")
        sys.stderr.writelines(overlaps)
        by_peer = len(self.log("in etcdctl"))
        count = self.count
        print(
            f"storm: {count['launches']} launches, {self.wins()} wins ({by_peer} etcdctl's), {count['refusals']} refusals, "
            f"{count['kills']} kills, {count['disturbances']} disturbances, {count['errors']} ended by error, "
            f"{len(self.log('beside stopped'))} met one whose keeper is stopped, {len(self.log('stale write refused'))} stale refused, "
            f"the longest wait {self.longest_gap / self.ttl:.1f} leases; "
            f"{self.watchman.looks} looks at the key, {len(self.watchman.beyond)} commands beyond their lease; "
            f"{len(overlaps)} overlaps, {count['lost']} lost, {count['unprovoked']} unprovoked errors"
        )
        return bool(overlaps or count["lost"] or count["unprovoked"] or self.watchman.beyond)


def main():
    folder, etcd, seconds, ttl, helpers, *launcher = sys.argv[1:]
    # No core file, and where more than none is allowed, no core handler on a pipe either.
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    storm = Storm(folder, etcd, float(seconds), int(ttl), helpers, launcher)
    try:
        storm.run()
    finally:
        # One that waits would wait without end for a cluster that has ended.
        for process in storm.running:
            process.kill()
    sys.exit(storm.report())


if __name__ == "__main__":
    main()
