#!/usr/bin/python3
"""Clients that send slowly, vanish in the middle or read nothing, against the bridge or the broker.

    with Hostile("http", port) as hostile:      # or "bus"
        hostile.begin()                         # at once; the first connects a moment later
        ...
    hostile.done        how often clients of each kind have done their worst

There are COPIES clients of each kind, in a process of its own. Their pace is given: this is about
clients that are slow or odd, not about how much load there may be.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import zmq

COPIES = 3
# Between two bytes of those that drip, and between two attempts of those that vanish.
PAUSE_S = 0.02
# Between two requests whose answers nobody reads.
UNREAD_PAUSE_S = 0.1
# How long a connection that drips, or is silent, is kept up; then it is made anew.
STAY_S = 20.0
# From a peer's start to its end by a signal; how long a stopped one stays.
LIFE_S = 0.2
STOPPED_S = 2.0


class Hostile:
    """All of them, for a while."""

    def __init__(self, kind, port):
        self.arguments = [sys.executable, os.path.abspath(__file__), kind, str(port)]
        self.done = {}

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        # It has nothing left to load.
        assert self.process.stdout.readline() == "ready\n"
        return self

    def begin(self):
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()

    def __exit__(self, *_):
        self.process.stdin.close()
        self.done = json.loads(self.process.stdout.readline() or "{}")
        self.process.stdout.close()
        assert self.process.wait(10) == 0


# ---- What all share -----------------------------------------------------------------------------


class Victim:
    """Where to connect to, and what counts."""

    def __init__(self, port):
        self.port = port
        self.done = collections.Counter()

    def connect(self, receive_bytes=None):
        connection = socket.socket()
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(STAY_S)
        connection.connect(("127.0.0.1", self.port))
        return connection


def vanish(connection):
    """Without a word: the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drip(connection, data):
    """Byte by byte, until all are sent, the time is over or the other side has enough."""
    end = time.monotonic() + STAY_S
    for byte in data:
        if time.monotonic() > end:
            return
        connection.send(bytes([byte]))
        time.sleep(PAUSE_S)


def send_unread(connection, data, count):
    """Requests whose answers fill all buffers on the way, and then some more now and then."""
    end = time.monotonic() + STAY_S
    connection.sendall(data * count)
    while time.monotonic() < end:
        time.sleep(UNREAD_PAUSE_S)
        connection.sendall(data)


# ---- Against the bridge -------------------------------------------------------------------------

HEAD = b"GET /lookup/20001 HTTP/1.1\r\nHost: localhost\r\n"
PAGE = b"GET /search?limit=50 HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = (b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Idempotency-Key: hostile\r\nContent-Length: 60000\r\n\r\n{")


def http_says_nothing(victim):
    connection = victim.connect()
    connection.recv(1)
    connection.close()


def http_slow_head(victim):
    with victim.connect() as connection:
        drip(connection, HEAD + b"X: " + b"x" * 10000)


def http_slow_body(victim):
    with victim.connect() as connection:
        connection.sendall(BODY)
        drip(connection, b" " * 10000)


def http_slow_reader(victim):
    """Takes a byte of a page now and then."""
    with victim.connect(receive_bytes=2048) as connection:
        connection.sendall(PAGE * 20)
        end = time.monotonic() + STAY_S
        while time.monotonic() < end and connection.recv(1):
            time.sleep(PAUSE_S)


def http_reads_nothing(victim):
    with victim.connect(receive_bytes=2048) as connection:
        send_unread(connection, PAGE, 100)


def http_gone_in_head(victim):
    connection = victim.connect()
    connection.sendall(HEAD)
    vanish(connection)


def http_gone_in_body(victim):
    connection = victim.connect()
    connection.sendall(BODY)
    vanish(connection)


def http_gone_while_pending(victim):
    connection = victim.connect()
    connection.sendall(HEAD + b"\r\n")
    vanish(connection)


# ---- Against the broker -------------------------------------------------------------------------

# ZMTP 3.0, mechanism NULL.
GREETING = (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
HANDSHAKE = GREETING + b"\x04" + bytes([len(READY)]) + READY
LOOKUP = json.dumps({"op": "lookup", "id": 20001}).encode()


def zmtp(victim, **arguments):
    """A connection whose handshake is over: libzmq closes those that say all of it at once."""
    connection = victim.connect(**arguments)
    connection.sendall(GREETING)
    connection.recv(len(GREETING), socket.MSG_WAITALL)
    connection.sendall(HANDSHAKE[len(GREETING):])
    connection.recv(1)
    return connection


def plain_request(service=b"catalog", body=LOOKUP):
    """The frames of 7/MDP, as ZMTP sends them."""
    frames = [b"", b"MDPC01", service, body]
    return b"".join(bytes([more, len(frame)]) + frame
                    for frame, more in zip(frames, (1, 1, 1, 0)))


def bus_half_greeting(victim):
    with victim.connect() as connection:
        connection.sendall(GREETING[:5])
        while connection.recv(4096):
            pass


def bus_slow_greeting(victim):
    with victim.connect() as connection:
        drip(connection, HANDSHAKE + plain_request() * 100)


def bus_slow_frame(victim):
    """A body of 500,000 bytes is announced."""
    with zmtp(victim) as connection:
        connection.sendall(b"\x01\x00\x01\x06MDPC01\x01\x07catalog\x02"
                           + struct.pack(">Q", 500000))
        drip(connection, b"x" * 10000)


def bus_garbage(victim):
    """Now instead of a greeting, now after it, now as a message."""
    noise = random.randbytes(128)
    connection = random.choice((victim.connect, lambda: zmtp(victim)))()
    connection.sendall(random.choice((noise, b"\x00\x80" + noise)))
    connection.close()


def bus_gone_in_message(victim):
    connection = zmtp(victim)
    connection.sendall(plain_request()[:-5])
    vanish(connection)


def bus_reads_nothing(victim):
    with zmtp(victim, receive_bytes=2048) as connection:
        page = json.dumps({"op": "search", "limit": 50}).encode()
        send_unread(connection, plain_request(body=page), 1000)


def peer_with_requests(port):
    """What a child does: send many requests and wait for no answer."""
    peer = zmq.Context().socket(zmq.DEALER)
    peer.connect(f"tcp://127.0.0.1:{port}")
    for _ in range(5):
        peer.send_multipart([b"", b"MDPC01", b"catalog", LOOKUP])
    signal.pause()


def bus_killed(victim):
    child = victim.nursery.born()
    time.sleep(LIFE_S)
    victim.nursery.end(child, signal.SIGKILL)


def bus_stopped(victim):
    child = victim.nursery.born()
    time.sleep(LIFE_S)
    victim.nursery.end(child, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    victim.nursery.end(child, signal.SIGKILL)


class Nursery:
    """A process without threads that forks peers and ends them: a fork beside threads may hang, and
    a new interpreter for each would cost more than all they do."""

    def __init__(self, port):
        self.lock = threading.Lock()
        here, there = socket.socketpair()
        if os.fork() == 0:
            here.close()
            self.serve(there, port)
            os._exit(0)
        there.close()
        self.link = here

    def serve(self, link, port):
        """Until the link ends."""
        children = set()
        try:
            while order := link.recv(8):
                child, number = struct.unpack("ii", order)
                if child == 0:
                    link.send(struct.pack("i", self.fork(link, port, children)))
                    continue
                os.kill(child, number)
                if number == signal.SIGKILL:
                    os.waitpid(child, 0)
                    children.remove(child)
        except OSError:
            pass  # it ended in the middle of an order
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    @staticmethod
    def fork(link, port, children):
        child = os.fork()
        if child == 0:
            link.close()
            peer_with_requests(port)
        children.add(child)
        return child

    def born(self):
        with self.lock:
            self.link.send(struct.pack("ii", 0, 0))
            return struct.unpack("i", self.link.recv(4))[0]

    def end(self, child, number):
        with self.lock:
            self.link.send(struct.pack("ii", child, number))


KINDS = {kind: [function for name, function in list(globals().items())
                if name.startswith(kind + "_")] for kind in ("http", "bus")}


# ---- The process --------------------------------------------------------------------------------


def be_hostile(victim, function):
    while True:
        # Connections that drip or are silent count when they begin, the others when they are over.
        victim.done[function.__name__] += 1
        try:
            function(victim)
        except OSError:
            pass  # cut off, which is what they are there for
        time.sleep(PAUSE_S)


def main():
    kind, port = sys.argv[1], int(sys.argv[2])
    os.nice(10)
    victim = Victim(port)
    if kind == "bus":
        victim.nursery = Nursery(port)
    print("ready", flush=True)
    sys.stdin.readline()
    for function in KINDS[kind] * COPIES:
        threading.Thread(target=be_hostile, args=(victim, function), daemon=True).start()
    sys.stdin.read()
    print(json.dumps(victim.done), flush=True)
    # Threads are in the middle of whatever they do; the nursery ends with its link.
    os._exit(0)


if __name__ == "__main__":
    main()
