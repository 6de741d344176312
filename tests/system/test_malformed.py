"""Malformed input of every kind at a whole store: every process stays up, every client of ours is told
of every request what became of it, and other clients' requests go on meanwhile.

What sanitizers find is looked for when the store is closed (tests/lib/cluster.py).

SPDX-License-Identifier: Apache-2.0
"""

import functools
import http.client
import json
import random
import re
import socket
import threading
import time

import pytest
import zmq

import bus
import malformed
import shop
from bridge import receive_all
from cluster import Cluster

# Of docs/protocol.md: after these nobody knows what became of a request.
UNKNOWN = {4, 9, 100, 399}
SERVICES = ["catalog", "catalog.leader", "catalog.leases", "order", "order.leader", "node.catalog-1",
            "node.order-1", "node.broker-1", "node.bridge-1"]
IN_FLIGHT = 8  # a worker reads a batch whole before it is heard again: slow with a sanitizer
PEERS = 100  # at once
ANSWER_S = 15  # the broker answers for who does not, after the 10 s that a request has
ATTEMPTS = 5
ITEM = 1


@pytest.fixture(scope="module")
def store_of_module():
    store = Cluster()
    try:
        store.up()
        shop.add_item(store, ITEM, title="Sold meanwhile", price_cents=5, stock=1000000)
        store.pids_at_start = store.pids()
        yield store
    finally:
        store.close()


@pytest.fixture(name="store")
def store_fixture(request, store_of_module):
    yield store_of_module
    if getattr(request.node, "failed_in", None):
        store_of_module.dump_logs()


class Bystander:
    """A client that buys and looks up all the while, over HTTP and the bus, and is always served."""

    def __init__(self, store):
        self.store = store
        self.done = 0
        self.wrong = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        client = shop.BusBuyer(shop.bus_endpoint(self.store))
        browser = shop.HttpBuyer(shop.http_port(self.store))
        try:
            while not self.ended.is_set():
                key = f"bystander-{random.getrandbits(64)}"
                for buyer, name in ((client, "bus"), (browser, "http")):
                    outcome = self.buy(buyer, f"{key}-{name}")
                    if outcome[0] != "sold":
                        self.wrong.append((name, outcome))
                self.done += 1
        except Exception as problem:  # shown by the test that waits for it
            self.wrong.append(problem)
        finally:
            client.close()
            browser.close()

    @staticmethod
    def buy(buyer, key):
        """What is unknown is asked again with its key, as by every customer: see Asker."""
        for _ in range(ATTEMPTS):
            outcome = buyer.buy(ITEM, 1, key)
            if outcome[0] != "unknown":
                break
        return outcome

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        deadline = time.monotonic() + 60
        while self.done < 3 and not self.wrong and time.monotonic() < deadline:
            time.sleep(0.01)
        self.ended.set()
        self.thread.join()
        assert self.wrong == [] and self.done >= 3
        assert self.store.pids() == self.store.pids_at_start


class Asker:
    """A client of ours with many requests under way, that wants an answer to each.

    On a busy machine a process may not get to run for half a second: then it is given up, and what
    it had in hand may become unknown. So that is asked again, some times: what is unknown each time
    is so because of the request."""

    def __init__(self, store):
        self.client = bus.Client(shop.bus_endpoint(store))
        self.waiting = {}  # by correlation: what was asked, the service, the body, which attempt
        self.answers = []  # (what was asked, status, body)

    def ask(self, service, body, what):
        while len(self.waiting) >= IN_FLIGHT:
            self.receive()
        self.send((service, what), service, body, 1)

    def send(self, what, service, body, attempt):
        self.client.correlation += 1
        self.waiting[self.client.correlation] = (what, service, body, attempt)
        self.client.socket.send_multipart(bus.pack(b"C", [
            (bus.REQUEST, bus.REPLAY_SAFE, 0, 10000, self.client.correlation, attempt,
             service.encode(), body)]))

    def receive(self):
        if not self.client.socket.poll(ANSWER_S * 1000):
            raise AssertionError(f"not answered: {[row[0] for row in self.waiting.values()]}")
        for record in bus.unpack(b"C", self.client.socket.recv_multipart()):
            if record[0] == bus.REPLY:
                self.take(record[2], record[7], *self.waiting.pop(record[4]))

    def take(self, status, answer, what, service, body, attempt):
        if status in UNKNOWN and attempt < ATTEMPTS:
            self.send(what, service, body, attempt + 1)
        else:
            self.answers.append((what, status, answer))

    def finish(self):
        while self.waiting:
            self.receive()
        self.client.close()
        return self.answers


def test_bodies_that_are_no_requests_are_refused_by_every_service(store):
    """A definite error each, whose body says the same as its status."""
    with Bystander(store):
        asker = Asker(store)
        for service in SERVICES:
            for name, body in malformed.BODIES.items():
                asker.ask(service, body, name)
        answers = asker.finish()
    assert len(answers) == len(SERVICES) * len(malformed.BODIES)
    for what, status, body in answers:
        # Only the nodes know a ping, and pass over members that it has no use for.
        if what[0].startswith("node.") and "member" in what[1] and status == 0:
            continue
        assert status != 0 and status not in UNKNOWN, (what, status, body[:200])
        assert not body or json.loads(body)["error"]["type"], (what, body[:200])
    print(f"{len(answers)} malformed bodies, each refused")


def test_members_of_wrong_types_are_answered_definitely(store):
    """Each member of each operation with each odd value: done or refused, and never unknown."""
    secret = store.read("cluster.secret").strip()
    with Bystander(store):
        asker = Asker(store)
        for service, body in malformed.odd_requests(secret):
            asker.ask(service, body, body)
        answers = asker.finish()
    refused = [what for what, status, _ in answers if status != 0]
    for what, status, body in answers:
        assert status not in UNKNOWN and isinstance(json.loads(body), dict), (what, status, body)
    assert len(refused) > len(answers) / 2
    print(f"{len(answers)} odd requests, {len(refused)} refused, none unknown")


def send_alone(endpoint, messages):
    """Each message from a peer of its own, which goes away then."""
    with zmq.Context() as context:
        for frames in messages:
            with context.socket(zmq.DEALER) as peer:
                peer.setsockopt(zmq.LINGER, 2000)
                peer.connect(endpoint)
                peer.send_multipart(frames)


def test_malformed_messages_on_the_bus(store):
    """All from one peer, and each from one of its own."""
    endpoint = shop.bus_endpoint(store)
    messages = list(malformed.messages())
    with Bystander(store):
        with zmq.Context() as context, context.socket(zmq.DEALER) as one:
            one.setsockopt(zmq.LINGER, 2000)
            one.connect(endpoint)
            for frames in messages:
                one.send_multipart(frames)
        for first in range(0, len(messages), PEERS):
            send_alone(endpoint, messages[first:first + PEERS])
        asker = Asker(store)
        asker.ask("catalog", b'{"op":"time"}', "after all")
        assert [status for _, status, _ in asker.finish()] == [0]
    print(f"{len(messages)} malformed messages")


@pytest.mark.parametrize("port", ["bus", "feed in", "feed out"])
def test_bytes_that_are_no_zmtp(store, port):
    ports = {"bus": 10, "feed in": 30, "feed out": 20}
    with Bystander(store):
        for stream in malformed.streams():
            with socket.create_connection(("127.0.0.1", store.port_base + ports[port]), 5) as raw:
                try:
                    raw.sendall(stream)
                    raw.shutdown(socket.SHUT_WR)
                except OSError:
                    pass


def statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)]


def send_raw(store, request):
    """The statuses of what is answered to bytes, until the connection ends."""
    with socket.create_connection(("127.0.0.1", shop.http_port(store)), 15) as raw:
        try:
            raw.sendall(request)
            raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return statuses(receive_all(raw))


def test_bytes_that_are_no_http(store):
    """Each is answered with a client's error or not at all, and the connection ends."""
    requests = list(malformed.http_requests())
    with Bystander(store):
        found = shop.at_once([functools.partial(send_raw, store, request) for request in requests])
    for request, answered in zip(requests, found):
        assert all(400 <= status < 500 for status in answered), (request[:100], answered)
    assert sum(map(len, found)) > 30


def test_bodies_over_http(store):
    """Each gets a 4xx problem, in the time of any request."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": "malformed",
               "Authorization": f"Bearer {store.admin_token}"}
    wrong, count = [], 0
    with Bystander(store):
        connection = http.client.HTTPConnection("127.0.0.1", shop.http_port(store), timeout=15)
        for path, name, body in malformed.http_bodies():
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            count += 1
            if not 400 <= answer.status < 500 or not json.loads(text)["type"]:
                wrong.append((path, name, answer.status, text[:200]))
            if answer.will_close:
                connection.close()
        connection.close()
    assert wrong == []
    print(f"{count} malformed bodies over HTTP, each refused")
