# SPDX-License-Identifier: MIT
"""The members of a cluster that etcd.bash has started."""
import base64
import glob
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.request

import processes

# What asking a member may raise that is killed or stopped meanwhile: in the middle of its answer, too.
SILENT = OSError, ValueError, http.client.HTTPException


class Members:
    def __init__(self, folder):
        self.folders = sorted(glob.glob(folder + "/[0-9]*"))
        self.clients = [open(folder + "/client").read().strip() for folder in self.folders]
        self.ports = [client.rsplit(":", 1)[1] for client in self.clients]

    def __iter__(self):
        return iter(range(len(self.folders)))

    def pid(self, member):
        return int(open(self.folders[member] + "/pid").read())

    def signal(self, member, number):
        processes.send(self.pid(member), number)

    def kill(self, member):
        self.signal(member, signal.SIGKILL)
        processes.await_end(self.pid(member))

    def has_disks(self):
        """Whether all keep their data on disks of their own (disk.bash)."""
        return all(os.path.exists(folder + "/disk") for folder in self.folders)

    def freeze(self, member):
        """Stops all that member writes; to be ended with thaw()."""
        freezer = subprocess.Popen(
            ["/usr/bin/python3", os.path.dirname(os.path.abspath(__file__)) + "/freeze.py", str(self.pid(member)), self.folders[member] + "/data"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        if freezer.stdout.readline() != b"frozen\n":
            raise RuntimeError("the disk cannot be frozen")
        return freezer

    def thaw(self, freezer):
        freezer.communicate()

    def start(self, member):
        # Of nobody's: it outlives the storm, and etcd.bash ends it.
        subprocess.run(["setsid", "--fork", "sh", self.folders[member] + "/run"], stdin=subprocess.DEVNULL, check=True)

    def ask(self, member, path, body):
        request = urllib.request.Request(self.clients[member] + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=1) as answer:
            return json.load(answer)

    def revisions(self, prefix):
        """Those that created the keys that begin with PREFIX, as a majority knows them now; None: there is none that would say."""
        coded = [base64.b64encode(text.encode()).decode() for text in (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))]
        for member in self:
            try:
                answer = self.ask(member, "/v3/kv/range", {"key": coded[0], "range_end": coded[1], "keys_only": True})
                return {int(entry["create_revision"]) for entry in answer.get("kvs", [])}
            except SILENT:
                continue
        return None

    def print_logs(self):
        for folder in self.folders:
            with open(folder + "/log", errors="replace") as log:
                sys.stderr.writelines([folder + ":\n", *log.readlines()[-20:]])

    def are_healthy(self):
        try:
            return all("true" in self.get(member, "/health") for member in self)
        except SILENT:
            return False

    def get(self, member, path):
        with urllib.request.urlopen(self.clients[member] + path, timeout=1) as answer:
            return answer.read().decode()

    def leader(self):
        for member in self:
            try:
                answer = self.ask(member, "/v3/maintenance/status", {})
            except SILENT:
                continue
            if answer.get("leader") == answer["header"]["member_id"]:
                return member
        return 0
