# SPDX-License-Identifier: MIT
"""The fault proxy, with a way from each host to each member."""
import subprocess


class Proxy:
    def __init__(self, program, hosts, members):
        ways = [f"host{h}.{m}={port}" for h in range(hosts) for m, port in enumerate(members.ports)]
        self.hosts = [f"host{h}" for h in range(hosts)]
        self.process = subprocess.Popen([program, *ways], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.ports = {}
        for line in iter(self.process.stdout.readline, ".\n"):
            name, port = line.split()
            self.ports[name] = port

    def endpoints(self, host):
        return ",".join(f"http://127.0.0.1:{port}" for name, port in self.ports.items() if name.startswith(host + "."))

    def tell(self, ways, treatment):
        """Applies TREATMENT (faultproxy.c) to all WAYS, a pattern; returns what the proxy says."""
        self.process.stdin.write(f"{ways} {treatment}\n")
        return self.process.stdout.readline().split()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
