# SPDX-License-Identifier: MIT
"""Serves the folder "here" of the test at a free port of the loopback, which it prints. /gate comes in two halves."""
import http.server
import os
import subprocess


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    sys_version = server_version = "test"

    def do_GET(self):  # pylint: disable=invalid-name
        found = self.path in ("/gate", "/numbers")
        self.send_response(200 if found else 404)
        self.end_headers()
        if self.path == "/gate":
            self.wfile.write(b"first half\n")
            self.wfile.flush()
            self.wfile.write(subprocess.run([os.environ["GATE"] + "/gate"], capture_output=True, check=False).stdout)
        elif found:
            self.wfile.write(b"".join(b"%d\n" % number for number in range(20001)))


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
