#!/usr/bin/python3
"""Stands in for every program of the store where only its supervision is tested.

It is copied into a folder under the programs' names. What it does is written in D/NAME.does, as
JSON, before it starts:
    {"status": 5}               end at once with this status
    {"ignore_sigterm": true}    go on after SIGTERM
    {"not_ready": true}         a bridge that says 503
    {"say": "text"}             a line for its log
    {"not_founded": true}       fail when it is to be founded
Where D/not_whole exists, `pygmy` ends with 1: some process does not answer.
Each start is a line "MONOTONIC PID FLAGS" in D/NAME.starts, written when it is ready for a SIGTERM; each
orderly end is a line "NAME" in D/ends; each founding one in D/founds.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import signal
import sys
import time


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text + "\n")


def main():
    folder = os.path.dirname(sys.argv[sys.argv.index("--config") + 1])
    if os.path.basename(sys.argv[0]) == "pygmy":
        if sys.argv[3] == "import":
            append(os.path.join(folder, "imports"), " ".join(sys.argv[3:]))
        sys.exit(1 if os.path.exists(os.path.join(folder, "not_whole")) else 0)
    name = sys.argv[sys.argv.index("--name") + 1]
    started_at = time.monotonic()
    does = {}
    if os.path.exists(os.path.join(folder, name + ".does")):
        with open(os.path.join(folder, name + ".does"), encoding="utf-8") as file:
            does = json.load(file)

    if "--found" in sys.argv:
        append(os.path.join(folder, "founds"), name)
        sys.exit("the disk is on fire" if does.get("not_founded") else 0)

    def on_sigterm(*_):
        if not does.get("ignore_sigterm"):
            append(os.path.join(folder, "ends"), name)
            os._exit(0)

    signal.signal(signal.SIGTERM, on_sigterm)
    append(os.path.join(folder, name + ".starts"),
           " ".join([f"{started_at} {os.getpid()}", *sys.argv[5:]]))
    if "say" in does:
        print(does["say"], flush=True)
    if "status" in does:
        sys.exit(does["status"])
    if not name.startswith("bridge"):
        while True:
            signal.pause()
    import http.server  # for bridges alone: it takes longer than all else that is done here

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if does.get("not_ready") else 200)
            self.end_headers()
            self.wfile.write(b"catalog has no leader" if does.get("not_ready") else b"ok")

        def log_message(self, *_):
            pass

    with open(os.path.join(folder, "cluster.conf"), encoding="utf-8") as file:
        address, port = re.search(name + r"\s+http = ([0-9.]+):(\d+)", file.read()).groups()
    http.server.ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


main()
