"""Reads of a process that holds a lease, through libpygmy: what dies around it, it outlives.

`pygmy bench lookup --cached` is that process. Whether what it reads is right is for the chaos runs
to judge; here, that it goes on to read, that it is let go of, and that nobody is told of what died.

It reads at a steady rate (open loop), so that what memory answered is a share of the time: one that
reads as fast as it can reads most in the shortest moment in which it has a lease.

SPDX-License-Identifier: Apache-2.0
"""

import threading
import time

import pytest

from bus import Client
from cluster import wait_until
from shop import bus_endpoint

ITEMS = range(32000, 32010)
RATE = 200  # reads in a second
LEASE_S = 1.0
# It reads for so long: most of it is left when what died has been made up for, on any machine.
SECONDS = 15


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

    def __init__(self, store, seconds=SECONDS):
        super().__init__()
        self.store, self.seconds, self.result = store, seconds, None
        self.began = time.monotonic()
        self.start()

    def run(self):
        self.result = self.store.pygmy(
            "bench", "lookup", "--cached", "--ids", f"{ITEMS[0]}-{ITEMS[-1]}", "--rate", RATE,
            "--warm-up", 0, "--seconds", self.seconds, "--json", timeout=self.seconds + 60)

    def age_s(self):
        return time.monotonic() - self.began

    def wait(self, condition, what):
        """It has to come true before the process ends, and its session with it."""
        def look():
            assert self.is_alive(), f"the reader ended first: {self.result}"
            return condition()
        wait_until(look, self.seconds, what)

    def told(self):
        """What it says in the end: each read was answered, from memory or not."""
        self.join()
        assert self.result.code == 0, self.result
        told = self.result.json
        assert told["errors"] == {}, told
        assert told["operations"]["lookup"]["ok"] == told["operations"]["lookup"]["count"], told
        return told

    def assert_outlived(self, died_s, back_s):
        """Memory answers again after what died at the first of these ages. If it did not, its lease
        would have ended, and it had answered all reads until then at most; it answered more by most
        of the reads since the second, when what died had been made up for."""
        told = self.told()
        least_s = died_s + LEASE_S + (self.seconds - back_s) / 2
        assert told["from_memory"] > least_s * RATE, (died_s, back_s, told)


def synced(store, broker=1):
    return leases(store, broker).get("synced")


def test_memory_outlives_a_broker(store):
    """The feed of the other one is heard, and the lease renewed through it."""
    reader = Reader(store)
    reader.wait(lambda: synced(store), "the cache has a lease")
    store.kill("broker-1")
    died_s = reader.age_s()
    reader.wait(lambda: synced(store, broker=2), "it has one through the other broker")
    reader.assert_outlived(died_s, reader.age_s())


def test_memory_outlives_the_leader(store):
    """The next one knows the session from the log, and lets it in: it may be the same replica."""
    reader = Reader(store)
    reader.wait(lambda: synced(store), "the cache has a lease")
    first = leases(store)
    store.kill(first["leader"])
    died_s = reader.age_s()

    def has_another():
        now = leases(store)
        return now.get("term", 0) > first["term"] and now["synced"]
    reader.wait(has_another, "it has one of a later term")
    assert leases(store)["sessions"] == 1
    reader.assert_outlived(died_s, reader.age_s())


def test_who_ends_in_order_is_forgotten_at_once(store):
    """Its session is closed by its own word, long before it would be for silence."""
    assert Reader(store, seconds=3).told()["from_memory"] > 0
    wait_until(lambda: leases(store).get("sessions") == 0, 5, "the session is closed")
