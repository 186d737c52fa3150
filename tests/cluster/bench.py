# SPDX-License-Identifier: MIT
"""bench.py BUILD ETCD ROUNDS: exlock-launch --cluster beside "etcdctl lock", on the cluster in ETCD (etcd.bash):

acquire     from the start of the launcher to the command's main, nobody else about
hand over   from the end of the holder's command to the main of the one that waits
requests    that the members get in a minute, while one holds and nobody waits; and with a waiter
fail over   from the SIGKILL of the holder's keeper (of etcdctl), or from the instant that its host is cut off, to the main of the one
            that waits; and for how long the two run at once
"""

import concurrent.futures
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from members import Members
from processes import send
from proxy import Proxy

TOOLS = ("exlock", "etcdctl")
TTLS = (5, 15)
WATCHED = 20  # seconds in which requests are counted


class Run:
    """A launcher with "stamp" for its command."""

    def __init__(self, bench, tool, name, ttl, host="host0", endpoints=None):
        endpoints = endpoints or ",".join(bench.members.clients)
        stamp = bench.build + "/tests/stamp"
        command = {
            "exlock": [bench.build + "/exlock-launch", f"--cluster={endpoints}", f"--ttl={ttl}", "--wait", "-n", name, stamp],
            "etcdctl": ["etcdctl", "lock", f"--ttl={ttl}", name, stamp],
        }[tool]
        os.makedirs(f"{bench.folder}/{host}", exist_ok=True)
        settings = {
            "EXCLUSIVELOCK_DIR": f"{bench.folder}/{host}",
            "EXCLUSIVELOCK_CLUSTER_HOST": host,
            "ETCDCTL_ENDPOINTS": endpoints,
        }
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(
            command, env=os.environ | settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )

    def stamp(self, word):
        for line in self.process.stdout:
            if line.startswith(word):
                time_ns, self.pid = map(int, line.split()[1:])
                return time_ns
        raise RuntimeError(f"{self.process.args} says nothing")

    def begin(self):
        return self.stamp("begin")

    def end(self):
        """Lets the command end; returns when it did, by its own word."""
        send(self.pid, signal.SIGTERM)
        ended = self.stamp("end")
        self.process.wait()
        return ended


class Bench:
    def __init__(self, build, etcd, rounds, folder):
        self.build, self.rounds, self.folder = build, rounds, folder
        self.members = Members(etcd)
        self.names = 0

    def name(self):
        self.names += 1
        return f"bench{self.names}"

    def acquire(self, tool):
        run = Run(self, tool, self.name(), 15)
        begin = run.begin()
        run.end()
        return (begin - run.started) / 1e6

    def hand_over(self, tool):
        name = self.name()
        holder = Run(self, tool, name, 15)
        holder.begin()
        waiter = Run(self, tool, name, 15, "host1")
        while self.queue(name) < 2:
            pass
        time.sleep(0.2)
        ended = holder.end()
        begin = waiter.begin()
        waiter.end()
        return (begin - ended) / 1e6

    def queue(self, name):
        keys = subprocess.check_output(["etcdctl", "get", "--prefix", name + "/", "--keys-only"], text=True)
        return len(keys.split())

    def messages(self):
        """That clients have sent: a request, a renewal in a stream, a watch. A gateway's are gRPC's, too."""
        count = 0.0
        for member in self.members:
            for line in self.members.get(member, "/metrics").splitlines():
                if re.match(r'grpc_server_msg_received_total\{.*"etcdserverpb\.', line) and "Maintenance" not in line:
                    count += float(line.rsplit(" ", 1)[1])
        return count

    def requests(self, tool, ttl, waits):
        name = self.name()
        runs = [Run(self, tool, name, ttl, "host0")]
        runs[0].begin()
        if waits:
            runs.append(Run(self, tool, name, ttl, "host1"))
        time.sleep(1)
        before = self.messages()
        time.sleep(WATCHED)
        per_minute = (self.messages() - before) * 60 / WATCHED
        runs[0].end()
        for run in runs[1:]:
            run.begin()
            run.end()
        return per_minute

    def fail_over(self, tool, ttl, cut):
        """Seconds from the failure to the end of the holder's command, None: it runs on, and to the next one's main."""
        name, host = self.name(), f"{tool}-{ttl}-{cut}"
        proxy = Proxy(self.build + "/tests/faultproxy", 1, self.members)
        holder = Run(self, tool, name, ttl, host + "-a", proxy.endpoints("host0"))
        holder.begin()
        waiter = Run(self, tool, name, ttl, host + "-b")
        time.sleep(1 + ttl / 2)
        watch = Watch(holder)
        failed = time.monotonic_ns()
        if cut:
            proxy.tell("*", "drop")
        else:
            send(holder.process.pid, signal.SIGKILL)
        begin = waiter.begin()
        gone = watch.ended
        proxy.end()
        waiter.end()
        if not gone:
            send(holder.pid, signal.SIGTERM)
        watch.join(30)
        return (gone - failed) / 1e9 if gone else None, (begin - failed) / 1e9

    def quick(self, measure, words):
        figures = {tool: [] for tool in TOOLS}
        for _ in range(self.rounds):
            for tool in TOOLS:
                figures[tool].append(measure(tool))
        ours, theirs = (statistics.median(figures[tool]) for tool in TOOLS)
        print(f"{words:44} {ours:10.1f} {theirs:10.1f} {ours / theirs:7.2f}")

    def counted(self, ttl, waits):
        ours, theirs = (self.requests(tool, ttl, waits) for tool in TOOLS)
        words = f"messages a minute, TTL {ttl} s" + (", one waits" if waits else "")
        print(f"{words:44} {ours:10.0f} {theirs:10.0f} {ours / theirs:7.2f}")

    def failing(self):
        kinds = [(tool, ttl, cut) for ttl in TTLS for cut in (False, True) for tool in TOOLS]
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
            return dict(zip(kinds, pool.map(lambda kind: self.fail_over(*kind), kinds)))

    def run(self):
        print(f"{'':44} {'exlock':>10} {'etcdctl':>10} {'ratio':>7}")
        self.quick(self.acquire, f"acquire, ms (median of {self.rounds})")
        self.quick(self.hand_over, f"hand over, ms (median of {self.rounds})")
        if os.environ.get("ONLY") == "quick":
            return
        for ttl in TTLS:
            self.counted(ttl, 0)
        self.counted(TTLS[-1], 1)
        results = self.failing()
        for ttl in TTLS:
            for cut in (False, True):
                (our_end, ours), (their_end, theirs) = (results[tool, ttl, cut] for tool in TOOLS)
                words = f"{'host cut off' if cut else 'SIGKILL'}, TTL {ttl} s: the next one begins, s"
                print(f"{words:44} {ours:10.1f} {theirs:10.1f} {ours / theirs:7.2f}")
                print(f"{'    the old one is gone, s':44} {said(our_end):>10} {said(their_end):>10}")


class Watch(threading.Thread):
    """When the last process of a run's command has closed its standard output."""

    def __init__(self, run):
        super().__init__(daemon=True)
        self.run_watched, self.ended = run, None
        self.start()

    def run(self):
        while self.run_watched.process.stdout.read(1):
            pass
        self.ended = time.monotonic_ns()


def said(seconds):
    return "runs on" if seconds is None else f"{seconds:.1f}"


def main():
    build, etcd, rounds = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="exlock-bench.") as folder:
        Bench(build, etcd, int(rounds), folder).run()


if __name__ == "__main__":
    main()
