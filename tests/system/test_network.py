"""The hosts that scripts/chaos gives a store, and what is between them.

SPDX-License-Identifier: Apache-2.0
"""

import os
import socket
import subprocess
import sys

import pytest

from cluster import wait_until
from network import Network

PORT = 9000  # of a host that is nobody else's
# Long enough that what passes a blocked way would have come.
SILENCE_S = 0.3
LOST_S = 5.0  # within which what was lost is sent again
NAMES = ("one", "two", "three")


@pytest.fixture(name="network", scope="module")
def network_fixture():
    try:
        network = Network(NAMES)
    except OSError as problem:
        pytest.skip(f"no network namespaces here: {problem}")
    with network:
        yield network


@pytest.fixture(name="ends")
def ends_fixture(network):
    """Both ends of a connection from "two" to "one", and of one from "three"."""
    ends = []
    with network.at("one"):
        server = socket.create_server((network.address("one"), PORT))
    with server:
        for name in ("two", "three"):
            with network.at(name):
                ends.append(socket.create_connection((network.address("one"), PORT), LOST_S))
            connection, far = server.accept()
            assert far[0] == network.address(name)
            ends.append(connection)
        for end in ends:
            end.settimeout(LOST_S)
        yield ends
    network.block(())
    for end in ends:
        end.close()


def assert_silent(end):
    end.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        end.recv(1024)
    end.settimeout(LOST_S)


def test_a_blocked_way_loses_and_the_others_pass(network, ends):
    """And it is lost without a word: the connection is there afterwards, and has it all."""
    from_two, at_one, from_three, also_at_one = ends
    network.block({("two", "one")})
    from_two.sendall(b"lost")
    from_three.sendall(b"passes")
    assert also_at_one.recv(1024) == b"passes"
    assert_silent(at_one)
    network.block({("one", "two")})
    assert at_one.recv(1024) == b"lost"
    at_one.sendall(b"lost, too")
    assert_silent(from_two)
    network.block(())
    assert from_two.recv(1024) == b"lost, too"


def test_who_connects_by_a_blocked_way_is_told_nothing(network, ends):
    """Neither when what he sends is lost nor when the answers are: he waits."""
    del ends  # somebody listens
    for pair in (("two", "one"), ("one", "two")):
        network.block({pair})
        with network.at("two"), pytest.raises(TimeoutError):
            socket.create_connection((network.address("one"), PORT), SILENCE_S)


def test_a_program_is_started_at_a_host_as_the_same_process(network):
    child = subprocess.Popen(
        [*network.command("two"), sys.executable, "-c", "import os; input(); print(os.getpid())"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: namespace_of(child.pid) != namespace_of("self"), what="it is there")
        with network.at("two"):
            assert namespace_of(child.pid) == namespace_of("thread-self")
        assert child.communicate("\n")[0] == f"{child.pid}\n"
    finally:
        child.kill()
        child.wait()


def namespace_of(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def test_a_host_has_one_cable_and_the_machine_sees_nothing_of_it(network):
    assert "cable" not in interfaces() and "port1" not in interfaces()
    with network.at("two"):
        assert interfaces() == {"lo", "cable"}
    assert namespace_of("self") == namespace_of("thread-self")


def interfaces():
    """Of the host that the calling thread is at."""
    return {name for _, name in socket.if_nameindex()}
