"""Peers of the bus in Python, for the system tests.

Written from docs/protocol.md alone and sharing nothing with the C code, so that
a test that passes says that the document is true.

SPDX-License-Identifier: Apache-2.0
"""

import json
import struct
import time

import zmq

HEAD = b"PYGMY1"
RECORD = struct.Struct(">BBHIQHHI")
HELLO, READY, REQUEST, REPLY, HEARTBEAT, DISCONNECT, GOING_AWAY = range(1, 8)
REPLAY_SAFE = 1


def pack(side, records):
    """A message of the extension: its head frame, and its body frame if there are bodies."""
    head = HEAD + side + bytes([len(records)])
    bodies = b""
    for command, flags, status, number, correlation, attempt, service, body in records:
        head += RECORD.pack(command, flags, status, number, correlation, attempt, len(service),
                            len(body)) + service
        bodies += body
    return [head, bodies] if bodies else [head]


def unpack(side, frames):
    """The records of a message of the extension, as pack() takes them."""
    head, bodies = frames[0], frames[1] if len(frames) > 1 else b""
    assert head[:7] == HEAD + side, head
    at, records = 8, []
    for _ in range(head[7]):
        fields = RECORD.unpack_from(head, at)
        at += RECORD.size
        service_len, body_len = fields[6], fields[7]
        service = head[at:at + service_len]
        at += service_len
        records.append(fields[:6] + (service, bodies[:body_len]))
        bodies = bodies[body_len:]
    assert at == len(head) and bodies == b""
    return records


class Unknown(Exception):
    """No answer in time: the outcome is unknown."""


class Client:
    """A client of the extension: one request after the other, or several at once.

    Each call is one attempt: nothing is sent again by itself. It says no HELLO, and so it may be
    silent as long as it likes: no answer is dropped because a busy machine keeps us waiting."""

    def __init__(self, endpoint, context=None):
        self.socket = (context or zmq.Context.instance()).socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.correlation = 0

    def send(self, service, request, timeout=10.0):
        """Send a request, and return what receive() wants."""
        self.correlation += 1
        self.socket.send_multipart(pack(b"C", [
            (REQUEST, REPLAY_SAFE, 0, int(timeout * 1000), self.correlation, 1, service.encode(),
             json.dumps(request).encode())]))
        return self.correlation, time.monotonic() + timeout

    def receive(self, waiting):
        """The status and the body of the answer; raises Unknown at the deadline."""
        correlation, deadline = waiting
        return self.gather({correlation}, deadline)[correlation]

    def gather(self, correlations, deadline):
        """The answers to all of these, whatever order they come in: {correlation: (status, body)}.
        Raises Unknown at the deadline."""
        answers = {}
        while len(answers) < len(correlations):
            if not self.socket.poll(max(deadline - time.monotonic(), 0) * 1000):
                raise Unknown()
            for record in unpack(b"C", self.socket.recv_multipart()):
                if record[0] == REPLY and record[4] in correlations:
                    answers[record[4]] = record[2], json.loads(record[7] or b"null")
        return answers

    def call(self, service, request, timeout=10.0):
        return self.receive(self.send(service, request, timeout))

    def call_all(self, requests, timeout=10.0):
        """The answers to (service, request) pairs, all of which are under way at once."""
        waiting = [self.send(*request, timeout) for request in requests]
        answers = self.gather({correlation for correlation, _ in waiting}, waiting[-1][1])
        return [answers[correlation] for correlation, _ in waiting]

    def log_time(self):
        """A stamp for an operation that begins now."""
        status, body = self.call("catalog", {"op": "time"})
        assert status == 0, body
        return body["log_time"]

    def close(self):
        self.socket.close()
