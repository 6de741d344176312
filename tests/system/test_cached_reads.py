"""Reads of a process that holds a lease, through libpygmy: what dies around it, it outlives.

`pygmy bench lookup --cached` is that process. Whether what it reads is right is for the chaos runs
to judge; here, that it goes on to read, that it is let go of, and that nobody is told of what died.

SPDX-License-Identifier: Apache-2.0
"""

import threading

import pytest

from bus import Client
from cluster import wait_until
from shop import bus_endpoint

ITEMS = range(32000, 32010)
# What dies does so before the first of them is over; what is measured comes after it.
WARM_UP_S, SECONDS = 4, 2


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    # The bridge's own cache would be another session.
    store = make_cluster("--brokers", "2", "--catalogs", "3",
                         env={"PYGMY_BRIDGES_BRIDGE_1_CACHE_ENTRIES": "0"})
    rows = "".join(f"{item},Kept {item},100000,1\n" for item in ITEMS)
    assert store.pygmy("import", "-", stdin="id,title,stock,price_cents\n" + rows).code == 0
    return store


def leases(store, broker=1):
    """What the leader of the catalog says of leases, {} while there is none."""
    for catalog in (1, 2, 3):
        client = Client(bus_endpoint(store, broker))
        try:
            status, body = client.call(f"node.catalog-{catalog}", {"op": "status"}, 2.0)
        finally:
            client.close()
        if status == 0 and body.get("leases"):
            return {"leader": f"catalog-{catalog}", "term": body["term"], **body["leases"]}
    return {}


class Reader(threading.Thread):
    """The process, until its time is over."""

    def __init__(self, store):
        super().__init__()
        self.store, self.result = store, None
        self.start()

    def run(self):
        self.result = self.store.pygmy(
            "bench", "lookup", "--cached", "--ids", f"{ITEMS[0]}-{ITEMS[-1]}", "--warm-up",
            WARM_UP_S, "--seconds", SECONDS, "--json", timeout=60)

    def told(self):
        self.join()
        assert self.result.code == 0, self.result
        assert self.result.json["errors"] == {}, self.result.json
        return self.result.json


def from_memory(told):
    return told["from_memory"] / told["operations"]["lookup"]["count"]


def synced(store, broker=1):
    return leases(store, broker).get("synced")


def test_memory_outlives_a_broker(store):
    """The feed of the other one is heard, and the lease renewed through it."""
    reader = Reader(store)
    wait_until(lambda: synced(store), what="the cache has a lease")
    store.kill("broker-1")
    wait_until(lambda: synced(store, broker=2), what="it has one through the other broker")
    assert from_memory(reader.told()) > 0.5


def test_memory_outlives_the_leader(store):
    """The next one knows the session from the log, and lets it in: it may be the same replica."""
    reader = Reader(store)
    wait_until(lambda: synced(store), what="the cache has a lease")
    first = leases(store)
    store.kill(first["leader"])

    def has_another():
        now = leases(store)
        return now.get("term", 0) > first["term"] and now["synced"]
    wait_until(has_another, what="it has one of a later term")
    assert leases(store)["sessions"] == 1
    assert from_memory(reader.told()) > 0.5


def test_who_ends_in_order_is_forgotten_at_once(store):
    """Its session is closed by its own word, long before it would be for silence."""
    Reader(store).told()
    wait_until(lambda: leases(store).get("sessions") == 0, 5, "the session is closed")
