"""A replica that was away while the others cut their logs comes back by a snapshot, and is equal.

PYGMY_AWAY_ORDERS is how many orders are made meanwhile: 50000 is the full measure, with as many
entries between two snapshots as a store has by itself.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re

import pytest
import zmq

from cluster import probed_ports, wait_until
from customers import Customers
from replicas import GROUPS, WELL_S, away, followers_of, leader_of, replicas_of, rows_of, wait_well
from shop import add_item

ORDERS = int(os.environ.get("PYGMY_AWAY_ORDERS", "300"))
FULL = 20000
ENTRIES = {} if ORDERS > FULL else {"PYGMY_CLUSTER_SNAPSHOT_ENTRIES": "100"}
THREE = ["--brokers", "2", "--catalogs", "3", "--orders", "3"]
ITEM = 7


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    store = make_cluster(*THREE, env=ENTRIES)
    add_item(store, ITEM, title="A book", price_cents=100, stock=10**6)
    return store


def make_orders(store, count=ORDERS):
    result = store.pygmy("bench", "buy", "--count", count, "--in-flight", 64, "--ids",
                         f"{ITEM}-{ITEM}", "--warm-up", 0, "--json", timeout=600)
    assert result.code == 0, result


def assert_equal(store):
    wait_well(store)
    verified = store.pygmy("verify", "--timeout", "30")
    assert verified.code == 0, verified


def installs_of(store, name):
    return store.read(f"{name}.log").count("a snapshot was installed")


def taken_by(store, name):
    """The log indexes of the snapshots that a replica has taken."""
    return [int(index) for index in re.findall(
        r'msg="a snapshot is ready" kind=take log_index=(\d+)', store.read(f"{name}.log"))]


def test_who_was_away_comes_back_by_a_snapshot(store):
    """One of each kind; while they are away and while they come back customers buy, and nobody
    notices."""
    names = [followers_of(store, group)[0] for group in GROUPS]
    behind = {name: rows_of(store)[name]["applied_index"] for name in names}
    with away(store, *names):
        make_orders(store)
        for group in GROUPS:
            wait_until(lambda g=group: taken_by(store, leader_of(store, g)), WELL_S, "a snapshot")
        with Customers(store) as customers:
            customers.sold_to_others[ITEM] = ORDERS
    assert_equal(store)
    for name in names:
        assert installs_of(store, name) >= 1, name
        assert rows_of(store)[name]["applied_index"] > behind[name] + ORDERS
    # They are members like any other: each leads, and starts from what it was given.
    for name in names:
        assert store.pygmy("cluster", "move-leader", name.split("-")[0], name).code == 0
        store.restart(name)
    make_orders(store, 50)
    assert_equal(store)
    assert [installs_of(store, name) for name in names] == [1, 1]


def test_a_start_begins_from_the_snapshot(store):
    """All of them are shut down and started again: each has few entries to apply, keeps one snapshot,
    and none needs one of another."""
    make_orders(store)
    for group in GROUPS:
        for name in replicas_of(group):
            wait_until(lambda n=name: taken_by(store, n), WELL_S, f"{name} has taken a snapshot")
    store.down()
    for group in GROUPS:
        for name in replicas_of(group):
            kept = [file for file in os.listdir(store.path(name)) if file.startswith("snapshot-")]
            assert 1 <= len(kept) <= 2, kept
    store.up()
    assert_equal(store)
    make_orders(store, 20)
    assert_equal(store)
    for group in GROUPS:
        for name in replicas_of(group):
            assert installs_of(store, name) == 0, name


def test_a_damaged_snapshot_is_refused(store):
    """The replica says how it is re-seeded; the others go on without it."""
    make_orders(store)
    name = followers_of(store, "order")[0]
    wait_until(lambda: taken_by(store, name), WELL_S, "a snapshot")
    store.stop(name)
    files = [file for file in os.listdir(store.path(name)) if file.startswith("snapshot-")]
    for file in files:
        with open(store.path(name, file), "r+b") as snapshot:
            snapshot.seek(5000)
            byte = snapshot.read(1)
            snapshot.seek(5000)
            snapshot.write(bytes([byte[0] ^ 1]))
    store.script("start", name)
    wait_until(lambda: "is damaged" in store.read(f"{name}.log"), WELL_S, "it is refused")
    assert "scripts/cluster reseed" in store.read(f"{name}.log")
    make_orders(store, 20)
    store.do("reseed", name)
    assert_equal(store)


def test_no_connection_of_a_vanished_machine_stays_where_snapshots_are_fetched(cluster):
    port = cluster.port_base + 50
    with zmq.Context.instance().socket(zmq.DEALER) as fetcher:
        fetcher.connect(f"tcp://127.0.0.1:{port}")
        wait_until(lambda: port in probed_ports(), what="its connection is probed")
