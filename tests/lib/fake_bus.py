"""A broker and every service behind it, in one socket, that says what the test wants.

    bus = FakeBus(endpoint)
    bus.answers["lookup"] = lambda request: (0, {"item": {...}, "log_time": 1})
    bus.answers["buy"] = lambda request: None                # never answers
    status, body = bus.ask("node.bridge-1", {"op": "status"})

It speaks the extension of docs/protocol.md with whatever connects to it.

SPDX-License-Identifier: Apache-2.0
"""

import json
import queue
import threading
import time

import zmq

from bus import HEARTBEAT, HELLO, READY, REPLY, REQUEST, pack, unpack

BEAT_S = 0.1


class FakeBus:
    def __init__(self, endpoint):
        self.answers = {
            "time": lambda request: (0, {"log_time": 1000}),
            "orders": lambda request: (0, {"orders": [], "next": None}),
        }
        self.requests = []  # (service, request) of all that came, probes left out
        self.peers = {}  # routing id: side
        self.workers = {}  # service: routing id
        self.held = []  # routing id and correlation id of what was not answered
        self.asked = queue.Queue()
        self.replies = {}  # correlation id: queue of the one who asked
        self.correlation = 0
        self.ended = threading.Event()
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(endpoint)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def of(self, op):
        """The requests of an operation that came."""
        return [request for _, request in list(self.requests) if request.get("op") == op]

    def ask(self, service, request, timeout=5.0):
        """Ask a worker that has registered. The status and the body of its answer."""
        reply = queue.Queue()
        self.asked.put((service, request, reply))
        return reply.get(timeout=timeout)

    def release(self, status, body):
        """Answer all that was not answered."""
        self.asked.put((None, (status, body), None))

    def close(self):
        self.ended.set()
        self.thread.join()
        self.socket.close()

    def run(self):
        beat_at = 0.0
        while not self.ended.is_set():
            if self.socket.poll(10):
                self.take(*self.socket.recv_multipart())
            while not self.asked.empty():
                self.pass_on(*self.asked.get())
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + BEAT_S
                for peer, side in self.peers.items():
                    self.send(peer, side, (HEARTBEAT, 0, 0, 0, 0, 0, b"", b""))

    def send(self, peer, side, record):
        self.socket.send_multipart([peer, *pack(side, [record])])

    def take(self, peer, head, *bodies):
        side = head[6:7]
        self.peers[peer] = side
        for command, _, status, _, correlation, _, service, body in unpack(side, [head, *bodies]):
            if command == HELLO:
                self.send(peer, side, (HEARTBEAT, 0, 0, 0, 0, 0, b"", b""))
            elif command == READY:
                self.workers[service.decode()] = peer
            elif command == REQUEST:
                self.answer(peer, correlation, service.decode(), json.loads(body))
            elif command == REPLY and correlation in self.replies:
                self.replies.pop(correlation).put((status, json.loads(body)))

    def answer(self, peer, correlation, service, request):
        if request["op"] not in ("time", "orders") or "request_id" in request:
            self.requests.append((service, request))
        told = self.answers.get(request["op"], lambda request: (12, {}))(request)
        if told is not None:
            status, body = told
            self.reply(peer, correlation, status, body)
        else:
            self.held.append((peer, correlation))

    def reply(self, peer, correlation, status, body):
        text = json.dumps(body).encode()
        self.send(peer, b"C", (REPLY, 0, status, 0, correlation, 0, b"", text))

    def pass_on(self, service, request, reply):
        if service is None:
            while self.held:
                self.reply(*self.held.pop(), *request)
            return
        if service not in self.workers:
            reply.put((1, None))
            return
        self.correlation += 1
        self.replies[self.correlation] = reply
        self.send(self.workers[service], b"W", (REQUEST, 0, 0, 5000, self.correlation, 1,
                                                service.encode(), json.dumps(request).encode()))
