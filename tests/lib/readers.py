#!/usr/bin/python3
"""Somebody who does nothing but look items up, at every bridge, thousands of times a second.

    with Readers(path, seed, {item: weight}, [(name, (address, port))], guests) as readers:
        ...
    readers.hand_over(recorder)     all that was read, for the history

It is a process of its own, so that it costs those beside it nothing but processor time, and writes
what it reads to the file at @path. Guests are items that come and go, all of one stock, and move
from one topic to another: one request of GUESTS_SHARE looks one of them up, or lists a topic. A
list tells of each of them whether it has it, and has to be whole: what is missing from a page may
be on the next one.

Every TICK_S it asks each bridge up to BURST times, over connections that are kept, as long as fewer
than LANES wait for an answer, and no more than ALIKE of them for the same item: what a bridge has
to ask others for may take seconds, and what it remembers is to be asked for meanwhile. A bridge
that is silent is asked again each PROBE_S by one more connection, up to CROWD of them: so, when it
goes on after a pause, requests wait for it that came at any time of the pause. Those are what a
cache must not answer by a lease that ended meanwhile; an answer to what was asked before the pause
may well be old.

SPDX-License-Identifier: Apache-2.0
"""

import errno
import json
import os
import random
import re
import select
import socket
import subprocess
import sys

sys.dont_write_bytecode = True

from history import UNKNOWN_TYPES, listed, now, refusal_essentials  # noqa: E402

TICK_S, BURST, LANES, ALIKE = 0.006, 8, 24, 2
PROBE_S, CROWD = 0.05, 80
CHOICES = 16  # to find what not ALIKE wait for
GUESTS_TOPICS, GUESTS_STOCK, GUESTS_SHARE = ("guests", "visitors"), 5, 8
REST_S = 0.05  # for a bridge that could not be reached
ANSWER_S_MAX = 5.0
NICE = 5  # forwarders, whose slowness a group would feel, run beside it
ROWS = 500  # in one line of the file
NANO = 10**9

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
FROM_MEMORY = re.compile(rb"\r\ncache-status: *pygmy *; *hit\b", re.IGNORECASE)


class Readers:
    """The process, for as long as the block lasts."""

    def __init__(self, path, seed, weights, bridges, guests=()):
        self.path = path
        self.arguments = [sys.executable, os.path.abspath(__file__),
                          json.dumps({"seed": seed, "weights": list(weights.items()),
                                      "bridges": bridges, "guests": list(guests)})]
        self.reads = self.remembered = 0  # answers, and those of them that came from memory

    def __enter__(self):
        with open(self.path, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE, stdout=file)
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        status = self.process.wait()
        if kind is None and status != 0:
            raise RuntimeError(f"who reads ended with status {status}")

    def hand_over(self, recorder):
        """Into the history. For when it has ended."""
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row.get("record") == "reads":
                    recorder.many_reads(row["process"], row["rows"])
                    self.reads += row["answers"]
                    self.remembered += row["from_memory"]
                else:
                    recorder.ended(row)
        os.unlink(self.path)


# ---- The process -------------------------------------------------------------------------------


class Connection:
    """One to a bridge: it is being made, idle, or waits for the answer to one request. Its methods
    raise OSError."""

    def __init__(self, bridge, wanted):
        self.bridge = bridge
        self.wanted = wanted  # what it is for, next or now
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        problem = self.socket.connect_ex(bridge.place)
        if problem not in (0, errno.EINPROGRESS):
            self.socket.close()
            raise OSError(problem, os.strerror(problem))
        self.fd = self.socket.fileno()
        self.is_made = False
        self.item = None  # that it has asked for
        self.since = now()  # when it began to make the connection, or asked
        self.received = b""

    def ask(self):
        self.item, self.since, self.received = self.wanted, now(), b""
        self.socket.send(self.bridge.requests[self.item])

    def answer(self):
        """Read what has come: the answer as (status, head, body); None while it is not whole."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionResetError()
        self.received += piece
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, body = self.received[:end], self.received[end + 4:]
        length = LENGTH.search(head)
        if len(body) < (int(length.group(1)) if length else 0):
            return None
        return int(STATUS.match(head).group(1)), head, body


class Bridge:
    """One that is asked."""

    def __init__(self, name, place, items):
        self.name, self.place = name, tuple(place)
        paths = {item: f"/search/{item}?limit=500" if item in GUESTS_TOPICS else f"/lookup/{item}"
                 for item in items}
        self.requests = {item: f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                         for item, path in paths.items()}
        self.idle = []
        self.busy = set()  # being made, or waiting
        self.latest = 0  # when it was asked, or a connection was begun, last
        self.rests_until = 0
        self.rows = []
        self.answers = self.from_memory = 0
        self.calls = 0

    def rest(self):
        self.rests_until = now() + int(REST_S * NANO)


class Reading:
    """All of them."""

    def __init__(self, seed, weights, bridges, guests):
        self.rng = random.Random(f"{seed}-readers")
        weights, self.guests = dict(weights), guests
        if guests:
            share = sum(weights.values()) / (GUESTS_SHARE - 1) / 2
            weights.update(dict.fromkeys(guests, share / len(guests)))
            weights.update(dict.fromkeys(GUESTS_TOPICS, share / len(GUESTS_TOPICS)))
        self.weights = weights
        self.choices = []
        self.bridges = [Bridge(name, place, weights) for name, place in bridges]
        self.poll = select.epoll()
        self.connections = {}

    def draw(self):
        if not self.choices:
            self.choices = self.rng.choices(*zip(*self.weights.items()), k=1000)
        return self.choices.pop()

    def choose(self, bridge):
        """What to ask a bridge for that not ALIKE wait for already, None if that is not found."""
        for _ in range(CHOICES):
            item = self.draw()
            if sum(connection.wanted == item for connection in bridge.busy) < ALIKE:
                return item
        return None

    def run(self, stop):
        """Until the descriptor @stop is readable."""
        self.poll.register(stop, select.EPOLLIN)
        tick = now()
        while True:
            for fd, _ in self.poll.poll(max(0, tick - now()) / NANO):
                if fd == stop:
                    return self.end()
                if fd in self.connections:
                    self.hear(self.connections[fd])
            if now() >= tick:
                for bridge in self.bridges:
                    self.turn(bridge)
                tick = max(tick + int(TICK_S * NANO), now())

    def end(self):
        """What was asked and not answered may be forgotten: a read changes nothing."""
        for bridge in self.bridges:
            self.write_rows(bridge)

    def turn(self, bridge):
        """Ask a bridge what is due, and give up what takes too long."""
        moment = now()
        for connection in [one for one in bridge.busy
                           if moment - one.since > ANSWER_S_MAX * NANO]:
            self.lose(connection)
        silent = moment - bridge.latest >= PROBE_S * NANO
        for _ in range(BURST):
            if len(bridge.busy) >= (CROWD if silent else LANES) or moment < bridge.rests_until:
                break
            item = self.draw() if silent else self.choose(bridge)
            if item is None:
                break
            self.ask(bridge, item)
            silent = False
        while len(bridge.idle) > LANES:
            self.close(bridge.idle.pop())

    def ask(self, bridge, item):
        bridge.latest = now()
        if bridge.idle:
            connection = bridge.idle.pop()
            connection.wanted = item
            bridge.busy.add(connection)
            self.send(connection)
            return
        try:
            connection = Connection(bridge, item)
        except OSError:
            bridge.rest()
            return
        self.connections[connection.fd] = connection
        bridge.busy.add(connection)
        self.poll.register(connection.fd, select.EPOLLOUT)

    def send(self, connection):
        try:
            connection.ask()
        except OSError:
            self.lose(connection)

    def hear(self, connection):
        """It is made, or has something for us."""
        try:
            if not connection.is_made:
                problem = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if problem != 0:
                    raise OSError(problem, os.strerror(problem))
                connection.is_made = True
                self.poll.modify(connection.fd, select.EPOLLIN)
                self.send(connection)
                return
            answer = connection.answer()
        except OSError:
            self.lose(connection)
            return
        if answer is not None:
            self.take(connection, *answer)

    def take(self, connection, status, head, body):
        """A whole answer."""
        bridge, until, told = connection.bridge, now(), json.loads(body)
        if status == 200 or status == 404 and connection.item in self.guests:
            times, memory = (connection.since, until), FROM_MEMORY.search(head) is not None
            bridge.rows += [[item, *times, stock, version, memory]
                            for item, stock, version in self.shown(connection.item, status, told)]
            bridge.answers += 1
            bridge.from_memory += memory
            if len(bridge.rows) >= ROWS:
                self.write_rows(bridge)
        else:
            self.fail(connection, refusal_essentials(told))
        bridge.busy.discard(connection)
        connection.item = None
        if CLOSES.search(head):
            self.close(connection)
        else:
            bridge.idle.append(connection)

    def shown(self, item, status, told):
        """What an answer says of items: (item, stock, version)."""
        if item in GUESTS_TOPICS:
            there = {row["id"] for row in told["items"]}
            assert there <= set(self.guests) and told["next"] is None, told
            return [(listed(guest, item), int(guest in there), None) for guest in self.guests]
        if status == 404:
            return [(item, 0, None)]
        assert told["id"] == item, (item, told)
        return [(item, told["stock"], told["version"])]

    def lose(self, connection):
        """There will be no answer."""
        bridge = connection.bridge
        if connection.item is not None or not connection.is_made:
            self.fail(connection, {})
            bridge.rest()
        bridge.busy.discard(connection)
        if connection in bridge.idle:
            bridge.idle.remove(connection)
        self.close(connection)

    def close(self, connection):
        del self.connections[connection.fd]
        connection.socket.close()

    @staticmethod
    def fail(connection, answer):
        """Write down a read that failed."""
        if connection.item is None:
            return  # nothing was asked
        bridge = connection.bridge
        bridge.calls += 1
        known = answer and answer["type"] not in UNKNOWN_TYPES
        write({"process": f"reader-{bridge.name}", "call": bridge.calls, "op": "lookup",
               "key": None, "args": {"item": connection.item}, "from": connection.since,
               "to": now(), "outcome": "refused" if known else "unknown", "answer": answer})

    @staticmethod
    def write_rows(bridge):
        write({"record": "reads", "process": f"reader-{bridge.name}", "rows": bridge.rows,
               "answers": bridge.answers, "from_memory": bridge.from_memory})
        bridge.rows, bridge.answers, bridge.from_memory = [], 0, 0


def write(row):
    sys.stdout.write(json.dumps(row, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    os.nice(NICE)
    Reading(**json.loads(sys.argv[1])).run(sys.stdin.fileno())
