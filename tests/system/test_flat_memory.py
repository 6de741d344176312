"""The broker's memory stays where it is, however much is asked of services that nobody serves.

SPDX-License-Identifier: Apache-2.0
"""

import os

import pytest
import zmq

import bus
from broker import Broker, Client, PlainClient
from cluster import wait_until

FIRST, ALL = 1000, 100000
GROWTH = 1.05
BATCH = 50  # divides both, and is below the 64 of a message
NO_SERVICE = 1
# Requests that may wait for services that nobody serves, and for how long.
WAITING_MAX = 640
EXPIRY_S = 30


def resident(broker):
    """VmRSS in KiB."""
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def is_sanitized():
    """A sanitizer keeps what was freed for a while: only what it reports counts then."""
    return bool(os.environ.get("PYGMY_SAN"))


def assert_flat(first, last, when):
    print(f"VmRSS after {FIRST}: {first} KiB, {when}: {last} KiB ({last / first - 1:+.2%})")
    assert is_sanitized() or last <= first * GROWTH, (first, last)


def names_of(kind, indexes):
    return [b"nobody-%d" % index if kind == "a name each" else b"nobody" for index in indexes]


def ask_batch(client, names, first):
    """Requests in one message, and the status of each answer."""
    client.socket.send_multipart(bus.pack(b"C", [
        (bus.REQUEST, bus.REPLAY_SAFE, 0, 20000, first + index, 1, name, b"{}")
        for index, name in enumerate(names)]))
    statuses = {}
    while len(statuses) < len(names):
        assert client.socket.poll(15000), f"{len(statuses)} of {len(names)} answered"
        for record in bus.unpack(b"C", client.socket.recv_multipart()):
            if record[0] == bus.REPLY:
                assert record[4] not in statuses
                statuses[record[4]] = record[2]
    assert set(statuses) == set(range(first, first + len(names)))
    return set(statuses.values())


@pytest.mark.parametrize("kind", ["one name", "a name each"])
def test_requests_of_our_clients_to_unknown_services(kind):
    """Each is answered with a definite error, and costs nothing afterwards."""
    with Broker() as broker:
        clients = [Client(broker.endpoint) for _ in range(4)]
        # Soon after its start the broker waits for workers that may come back.
        wait_until(lambda: ask_batch(clients[0], [b"nobody"], 1) == {NO_SERVICE})
        for count in range(0, ALL, BATCH):
            asked = names_of(kind, range(count, count + BATCH))
            client = clients[count // BATCH % len(clients)]
            assert ask_batch(client, asked, count) == {NO_SERVICE}
            if count + BATCH == FIRST:
                first = resident(broker)
        assert_flat(first, resident(broker), f"after {ALL}")
        for client in clients:
            client.close()


class Flood:
    """A broker, two plain clients of it that ask and ask, and one that looks."""

    def __init__(self, kind):
        self.kind = kind
        self.broker = Broker()
        self.asker = Client(self.broker.endpoint)
        self.clients = [PlainClient(self.broker.endpoint, version) for version in (1, 2)]
        for client in self.clients:
            client.socket.setsockopt(zmq.SNDHWM, 0)

    def counter(self, name):
        """As Broker.counter(), by one connection: the broker knows each for a minute."""
        status, body = self.asker.call("node.broker", {"op": "status"})
        assert status == 0, body
        return body["counters"][name]

    def ask(self, indexes):
        """All at once, and wait for nothing. Returns when the broker has read it all: what it has no
        room for is dropped in silence, and counted."""
        for index, name in zip(indexes, names_of(self.kind, indexes)):
            self.clients[index % 2].ask(name, b"{}")
        refused = indexes.stop - WAITING_MAX
        wait_until(lambda: self.counter("unserved_refused") >= refused, 60, f"{refused} refused")
        assert self.counter("unserved_refused") == refused

    def resident(self):
        return resident(self.broker)

    def close(self):
        for client in (*self.clients, self.asker):
            client.close()
        self.broker.close()


def test_requests_of_plain_clients_to_unknown_services():
    """Some wait, as 7/MDP has it, until they expire; 100,000 take no more memory than 1,000."""
    floods = [Flood(kind) for kind in ("one name", "a name each")]
    firsts = []
    for flood in floods:
        flood.ask(range(0, FIRST))
        firsts.append(flood.resident())
        flood.ask(range(FIRST, ALL))
        assert_flat(firsts[-1], flood.resident(), f"{flood.kind}, after {ALL}")
    for flood, first in zip(floods, firsts):
        wait_until(lambda: flood.counter("silent") == ALL, EXPIRY_S + 10, "all have expired")
        assert_flat(first, flood.resident(), f"{flood.kind}, when all have expired")
        flood.close()
