"""The broker's memory stays where it is, however much is asked of services that nobody serves.

PYGMY_FULL=1 adds what takes a minute: plain clients, whose requests wait for a worker until they
expire.

SPDX-License-Identifier: Apache-2.0
"""

import os

import pytest
import zmq

import bus
from broker import Broker, Client, PlainClient
from cluster import wait_until

pytestmark = pytest.mark.alone

FIRST, ALL = 1000, 100000
GROWTH = 1.05
BATCH = 50  # divides both, and is below the 64 of a message
NO_SERVICE = 1
EXPIRY_S = 30


def resident(broker):
    """VmRSS in KiB."""
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def is_sanitized():
    """A sanitizer keeps what was freed for a while: only what it reports counts then."""
    return bool(os.environ.get("PYGMY_SAN"))


def assert_flat(first, last):
    print(f"VmRSS after {FIRST}: {first} KiB, after {ALL}: {last} KiB ({last / first - 1:+.2%})")
    assert is_sanitized() or last <= first * GROWTH, (first, last)


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


@pytest.mark.parametrize("names", ["one name", "a name each"])
def test_requests_of_our_clients_to_unknown_services(names):
    """Each is answered with a definite error, and costs nothing afterwards."""
    with Broker() as broker:
        clients = [Client(broker.endpoint) for _ in range(4)]
        # Soon after its start the broker waits for workers that may come back.
        wait_until(lambda: ask_batch(clients[0], [b"nobody"], 1) == {NO_SERVICE})
        for count in range(0, ALL, BATCH):
            asked = [b"nobody-%d" % index if names == "a name each" else b"nobody"
                     for index in range(count, count + BATCH)]
            client = clients[count // BATCH % len(clients)]
            assert ask_batch(client, asked, count) == {NO_SERVICE}
            if count + BATCH == FIRST:
                first = resident(broker)
        last = resident(broker)
        for client in clients:
            client.close()
        assert_flat(first, last)


def ask_plain(broker, count, names):
    """Plain clients of both versions ask, and wait for nothing."""
    clients = [PlainClient(broker.endpoint, version) for version in (1, 2)]
    for client in clients:
        client.socket.setsockopt(zmq.SNDHWM, 0)
    for index in range(count):
        name = b"nobody-%d" % index if names == "a name each" else b"nobody"
        clients[index % 2].ask(name, b"{}")
    return clients


def wait_silent(broker, count):
    """Until so many requests ended in silence."""
    wait_until(lambda: broker.counter("silent") >= count, EXPIRY_S + 30, what=f"{count} expired")


@pytest.mark.skipif(not os.environ.get("PYGMY_FULL"), reason="PYGMY_FULL=1 runs it (two minutes)")
@pytest.mark.limit_s(300)
@pytest.mark.parametrize("names", ["one name", "a name each"])
def test_requests_of_plain_clients_to_unknown_services(names):
    """They wait, as 7/MDP has it, and take memory meanwhile; at their deadline they are dropped, and
    as many again need no more."""
    with Broker() as broker:
        ends = []
        for wave in (1, 2, 3):
            clients = ask_plain(broker, ALL, names)
            wait_silent(broker, wave * ALL)
            ends.append(resident(broker))
            for client in clients:
                client.close()
        print(f"VmRSS after each {ALL}: {ends} KiB")
        assert is_sanitized() or ends[2] <= ends[1] * GROWTH, ends
