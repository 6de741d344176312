"""A follower of a group's stream of committed changes, for the system tests.

Written from docs/protocol.md alone and sharing nothing with the C code: it subscribes at every
broker, keeps a position, and asks the replicas for what it has missed.

SPDX-License-Identifier: Apache-2.0
"""

import json
import re
import threading

import zmq

from bus import Client, Unknown
from cluster import wait_until

CALL_S = 1.0
KEPT_MAX = 1000  # live messages that wait for the answer that closes the gap below them


def endpoints_of(store, key):
    """The addresses that the configuration has under this name, in its order: one of each broker."""
    return re.findall(rf'^\s*{key} = "?([^"\s]+)"?$', store.read("cluster.conf"), re.MULTILINE)


def replicas_in(store, group):
    return re.findall(rf"^\s*({group}-\d+)$", store.read("cluster.conf"), re.MULTILINE)


def name_of(row):
    return row["number" if "number" in row else "id"]


class Asker:
    """Questions to processes by their names, by whichever broker answers."""

    def __init__(self, store):
        self.endpoints = endpoints_of(store, "bus")
        self.client = None

    def ask(self, node, request, timeout=CALL_S):
        """The answer. None when there is none for now."""
        if self.client is None:
            self.client = Client(self.endpoints[0])
        try:
            status, body = self.client.call(f"node.{node}", request, timeout)
        except Unknown:
            self.close()
            self.endpoints.append(self.endpoints.pop(0))
            return None
        assert status < 200, (status, body)
        return body if status == 0 else None

    def close(self):
        if self.client is not None:
            self.client.close()
        self.client = None


class Follower(threading.Thread):
    """Follows a group from `since` on, or from now. `rows` has the last known state of each item or
    order that has changed, and `told` every change in the order in which it was told."""

    def __init__(self, store, group, since=None):
        super().__init__(daemon=True)
        self.group, self.position, self.cluster = group, since, None
        self.replicas = replicas_in(store, group)
        self.asker = Asker(store)
        self.rows, self.told = {}, []
        self.live, self.dropped, self.gaps, self.asked = 0, 0, 0, 0
        self.failure = None
        self.stop = threading.Event()
        self.deaf = threading.Event()  # live messages are lost
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.topic = f"changes.{group}".encode() + b"\0"
        self.socket.setsockopt(zmq.SUBSCRIBE, self.topic)
        for endpoint in endpoints_of(store, "subscribe"):
            self.socket.connect(endpoint)
        self.kept = []
        self.missing = True  # something may have been missed: at first, everything
        self.start()

    # ---- The subscriber's rule -------------------------------------------------------------

    def check(self, message):
        """What every message and answer has to be like."""
        assert message["group"] == self.group
        self.cluster = self.cluster or message["cluster"]
        assert message["cluster"] == self.cluster
        assert message["term"] >= 1
        order = [(row["version"], name_of(row)) for row in message["changes"]]
        assert order == sorted(set(order)), order
        for version, _ in order:
            assert message["from"] < version <= message["index"], message

    def deliver(self, message):
        for row in message["changes"]:
            if row["version"] > self.position:
                known = self.rows.get(name_of(row))
                assert known is None or known["version"] < row["version"], (known, row)
                self.rows[name_of(row)] = row
                self.told.append(row)
        self.position = max(self.position, message["index"])

    def take(self, message):
        """A live message."""
        if message["index"] <= self.position:
            return
        if message["from"] > self.position:
            self.gaps += not self.missing
            self.missing = True
            self.kept = (self.kept + [message])[:KEPT_MAX]
            return
        self.deliver(message)

    def ask(self):
        """Ask the next replica for what was missed."""
        node = self.replicas[0]
        self.replicas.append(self.replicas.pop(0))
        request = {"op": "changes"}
        if self.position is not None:
            request["since"] = self.position
        self.asked += 1
        answer = self.asker.ask(node, request)
        if answer is None:
            return
        self.check(answer)
        if self.position is None:
            assert answer["changes"] == [] and not answer["more"]
            self.position = answer["index"]
        elif answer["index"] < self.position:
            assert answer["changes"] == [] and not answer["more"]
            return
        self.deliver(answer)
        self.missing = answer["more"]
        kept, self.kept = self.kept, []
        for message in kept:
            self.take(message)

    def run(self):
        try:
            while not self.stop.is_set():
                while self.socket.poll(0 if self.missing else 20):
                    frame, = self.socket.recv_multipart()
                    if self.deaf.is_set():
                        self.dropped += b'"changes":[{' in frame
                        continue
                    assert frame.startswith(self.topic)
                    message = json.loads(frame[len(self.topic):])
                    self.live += 1
                    self.check(message)
                    if self.position is None:
                        self.kept.append(message)
                    else:
                        self.take(message)
                if self.missing:
                    self.ask()
                    self.stop.wait(0.01)
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    # ---- For tests -------------------------------------------------------------------------

    def wait(self, condition, deadline_s=20.0, what=None):
        def look():
            if self.failure is not None:
                raise self.failure
            return condition()
        return wait_until(look, deadline_s, what or f"{self.group} has it, at {self.position}")

    def wait_live(self):
        """Until it needs no answers any more: what comes from now on comes live."""
        self.wait(lambda: self.live > 0 and not self.missing, what="live messages")

    def wait_for(self, index):
        self.wait(lambda: self.position is not None and self.position >= index,
                  what=f"{self.group} has reached {index}")

    def close(self):
        self.stop.set()
        self.join()
        self.socket.close()
        self.asker.close()
        if self.failure is not None:
            raise self.failure


def metric_of(store, node, name):
    """One number of a process, by the name of its series without labels."""
    asker = Asker(store)
    try:
        answer = wait_until(lambda: asker.ask(node, {"op": "metrics"}))
    finally:
        asker.close()
    return float(re.search(rf"^{name} (\S+)$", answer["text"], re.MULTILINE).group(1))


def pages_of(client, service, op, name):
    """All rows of a list, page after page."""
    cursor, rows = None, []
    while True:
        request = {"op": op, "limit": 500, **({"cursor": cursor} if cursor else {})}
        status, body = client.call(service, request)
        assert status == 0, body
        rows += body[name]
        cursor = body["next"]
        if cursor is None:
            return rows
