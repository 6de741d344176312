"""A broker of its own for a test, and plain peers of it.

    with Broker() as broker:
        worker = Worker(broker.endpoint, "echo")

The plain peers are what a stranger would write from 7/MDP and 18/MDP; for our own see bus.py.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import select
import signal
import subprocess
import time

import zmq

import bus
from bus import Client  # noqa: F401; for who wants peers of every kind
from cluster import SANITIZER_REPORT, program, wait_until

LISTENING = re.compile(r"msg=listening endpoint=(\S+)")


class Broker:
    """pygmy-broker on a port of its own choice, ended and looked at when the test is over."""

    def __init__(self, *flags, start=True):
        self.flags = flags
        self.stderr = ""
        self.process = None
        if start:
            self.start()

    def start(self, endpoint="tcp://127.0.0.1:*"):
        self.process = subprocess.Popen(
            [program("pygmy-broker"), "--bind", endpoint, *self.flags],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        os.set_blocking(self.process.stderr.fileno(), False)
        wait_until(lambda: LISTENING.search(self.log()), what="listening")
        self.endpoint = LISTENING.search(self.stderr).group(1)

    def log(self):
        """All that it has logged so far."""
        while select.select([self.process.stderr], [], [], 0)[0]:
            text = self.process.stderr.read()
            if not text:
                break
            self.stderr += text
        return self.stderr

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=10):
        """Its exit status."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "still running:\n" + self.log()
            self.log()
            time.sleep(0.005)
        return self.process.returncode

    def status(self):
        client = Client(self.endpoint)
        try:
            code, body = client.call("node.broker", {"op": "status"})
        finally:
            client.close()
        assert code == 0, body
        return body

    def counter(self, name):
        return self.status()["counters"][name]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stderr.close()
        assert status in (0, 128 + signal.SIGTERM), f"broker ended with {status}:\n{self.stderr}"
        assert not SANITIZER_REPORT.search(self.stderr), self.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Peer:
    """A DEALER. The empty first frame is sent, and expected, if @empty."""

    def __init__(self, endpoint, empty):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.empty = empty

    def send(self, *frames):
        self.socket.send_multipart(([b""] if self.empty else []) + list(frames))

    def receive(self, timeout=5.0):
        assert self.socket.poll(timeout * 1000), "nothing came"
        frames = self.socket.recv_multipart()
        assert (frames[0] == b"") == self.empty, frames
        return frames[1:] if self.empty else frames

    def close(self):
        self.socket.close()


class PlainClient(Peer):
    """7/MDP (version 1) or 18/MDP (version 2)."""

    def __init__(self, endpoint, version=1, empty=None):
        super().__init__(endpoint, version == 1 if empty is None else empty)
        self.version = version

    def ask(self, service, *body):
        if self.version == 1:
            self.send(b"MDPC01", service, *body)
        else:
            self.send(b"MDPC02", b"\x01", service, *body)

    def answer(self, service, timeout=5.0):
        """The body frames of the next answer, and whether it is the last part."""
        frames = self.receive(timeout)
        if self.version == 1:
            assert frames[:2] == [b"MDPC01", service], frames
            return frames[2:], True
        assert frames[0] == b"MDPC02" and frames[2] == service, frames
        assert frames[1] in (b"\x02", b"\x03"), frames
        return frames[3:], frames[1] == b"\x03"

    def call(self, service, *body, timeout=5.0):
        self.ask(service, *body)
        frames, last = self.answer(service, timeout)
        assert last
        return frames


class PlainWorker(Peer):
    """7/MDP (version 1) or 18/MDP (version 2)."""

    READY, REQUEST = b"\x01", b"\x02"

    def __init__(self, endpoint, service, version=1, empty=None):
        super().__init__(endpoint, version == 1 if empty is None else empty)
        self.header = b"MDPW01" if version == 1 else b"MDPW02"
        self.partial = b"\x03"
        self.final, self.heartbeat, self.disconnect = (
            (b"\x03", b"\x04", b"\x05") if version == 1 else (b"\x04", b"\x05", b"\x06"))
        self.send(self.header, self.READY, service)

    def request(self, timeout=5.0):
        """The address and body frames of the next request. It beats meanwhile."""
        deadline = time.monotonic() + timeout
        while True:
            frames = self.receive(deadline - time.monotonic())
            assert frames[0] == self.header, frames
            if frames[1] == self.REQUEST:
                assert frames[3] == b"", frames
                return frames[2], frames[4:]
            assert frames[1] == self.heartbeat, frames

    def reply(self, address, *body, command=None):
        self.send(self.header, command or self.final, address, b"", *body)

    def beat(self):
        self.send(self.header, self.heartbeat)


class Worker:
    """A worker of the extension that takes what it is given when it is asked to."""

    def __init__(self, endpoint, service, credit=1, secret=b"", name=b"worker"):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.name = name
        self.credit = credit
        self.send((bus.READY, 0, 0, credit, 0, 0, service, secret))

    def send(self, *records):
        self.socket.send_multipart(bus.pack(b"W", list(records)))

    def beat(self):
        self.send((bus.HEARTBEAT, 0, 0, self.credit, 0, 0, self.name, b""))

    def records(self, timeout=5.0, wanted=(bus.REQUEST,)):
        """The next records of a kind that is wanted, beating meanwhile."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.beat()
            if self.socket.poll(50):
                records = bus.unpack(b"W", self.socket.recv_multipart())
                found = [record for record in records if record[0] in wanted]
                if found:
                    return found
        raise AssertionError("nothing came")

    def reply(self, record, body, status=0):
        self.send((bus.REPLY, 0, status, 0, record[4], 0, b"", body))

    def close(self):
        self.socket.close()


def wait_served(broker, service, answer=b"200"):
    """Wait until the broker knows of a worker for a service, or of none any more."""
    client = PlainClient(broker.endpoint)
    try:
        wait_until(lambda: client.call(b"mmi.service", service) == [answer], what=service)
    finally:
        client.close()
