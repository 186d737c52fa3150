# SPDX-License-Identifier: MIT
"""gateway.py URL [PATH=TREATMENT...]: passes requests on to the member of etcd at URL, but for those to a PATH that has a TREATMENT:

    STATUS      is answered with STATUS and no word of etcd's
    again       is passed on once, and the same answer is given to all that come later, without asking
    silent      is answered with a stream in which nothing ever comes
    SECONDSs    is passed on, and its answer held back for SECONDS
    s/OLD/NEW/  is passed on, with NEW for OLD in the answer

It prints its port, and then the path of each request.
"""
import http.server
import sys
import threading
import time
import urllib.error
import urllib.request

MEMBER = sys.argv[1]
TREATMENTS = dict(argument.split("=", 1) for argument in sys.argv[2:])
ANSWERS = {}  # to each PATH that is answered with the same again


class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        treatment = TREATMENTS.get(self.path, "")
        print(self.path, flush=True)
        if treatment.isdigit():
            self.answer(int(treatment), b"")
        elif treatment == "silent":
            self.begin(200)
            threading.Event().wait()
        elif treatment == "again" and self.path in ANSWERS:
            self.answer(*ANSWERS[self.path])
        else:
            self.pass_on(body, treatment)

    def pass_on(self, body, treatment):
        try:
            with urllib.request.urlopen(urllib.request.Request(MEMBER + self.path, body)) as answer:
                if self.path == "/v3/watch":
                    return self.stream(answer)
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if treatment.startswith("s/"):
            _, old, new, _ = treatment.split("/")
            text = text.replace(old.encode(), new.encode())
        elif treatment == "again":
            ANSWERS[self.path] = status, text
        elif treatment:
            time.sleep(float(treatment[:-1]))
        self.answer(status, text)

    def begin(self, status, *header):
        self.send_response(status)
        for name, value in (header,) if header else (("Connection", "close"),):
            self.send_header(name, value)
        self.end_headers()

    def answer(self, status, text):
        self.begin(status, "Content-Length", str(len(text)))
        self.wfile.write(text)

    def stream(self, answer):
        self.begin(200)
        self.close_connection = True
        while text := answer.read1():
            self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
server.daemon_threads = True
# A client that gives up is nothing to tell of.
server.handle_error = lambda *_: None
print(server.server_port, flush=True)
server.serve_forever()
