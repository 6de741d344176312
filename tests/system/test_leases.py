"""Leased caches as a stranger sees them: one that knows docs/protocol.md alone, at a real store.

A write is proposed only when no cache may hold what it changes; so whoever has seen it acknowledged
is told nothing older by any cache, whatever dies meanwhile.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import signal
import threading
import time

import pytest

from bus import Client
from cluster import wait_until
from feed import metric_of
from lease_client import LEASES, MISMATCH, NOT_FOUND, Cache
from loop_thread import LoopThread
from replicas import WELL_S, leader_of
from shop import HttpBuyer, add_item, bus_endpoint, http_port

THREE = ["--brokers", "2", "--catalogs", "3", "--orders", "3"]
WAIT_S = 1.03  # LEASE_WAIT_MS: what a cache that says nothing costs a writer
QUIET_S = 0.05  # LEASE_QUIET_MS: what nobody writes for so long may be held again
# What a busy machine adds to a wait; sanitizers make it several times slower.
NOISE_S = 1.0 if not os.environ.get("PYGMY_SAN") else 3.0
FORBIDDEN, INVALID = 210, 200


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    """Its bridge keeps nothing in memory: the caches are the test's own."""
    store = make_cluster(*THREE, env={"PYGMY_BRIDGES_BRIDGE_1_CACHE_ENTRIES": "0"})
    for item in (1, 2, 3):
        add_item(store, item, title=f"Book {item}", price_cents=100, stock=100000, topic="Old")
    return store


@pytest.fixture(name="cache")
def cache_fixture():
    """cache(store, broker): a cache that has a lease, closed when the test is over."""
    with contextlib.ExitStack() as stack:
        def make(store, broker=1):
            cache = stack.enter_context(contextlib.closing(Cache(store, broker)))
            cache.wait_leased()
            return cache
        yield make


@pytest.fixture(name="buyer")
def buyer_fixture(store):
    with contextlib.closing(HttpBuyer(http_port(store))) as buyer:
        yield buyer


def buy(buyer, item, key):
    """Buy one. Returns when the buy began, when it was acknowledged, and what was left then."""
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    status, answer, _ = buyer.call("POST", "/orders", {"lines": [{"id": item, "quantity": 1}]},
                                   {"Idempotency-Key": key})
    assert status == 201, answer
    return began, time.clock_gettime(time.CLOCK_BOOTTIME), answer["lines"][0]["stock_left"]


class Buy(threading.Thread):
    """One that goes on while the test does something else."""

    def __init__(self, store, item, key):
        super().__init__(daemon=True)
        self.buyer, self.item, self.key = HttpBuyer(http_port(store)), item, key
        self.result = None
        self.start()

    def run(self):
        self.result = buy(self.buyer, self.item, self.key)
        self.buyer.close()

    def wait(self):
        self.join(30)
        assert self.result is not None
        return self.result


def count(store, name):
    """A number of the catalog's leader."""
    return metric_of(store, leader_of(store, "catalog"), name)


# ---- Told before the writer is ---------------------------------------------------------------


def test_caches_are_told_before_a_buy_is_acknowledged(store, cache, buyer):
    """Both caches, of two brokers, have let go by then; the item comes back when it is quiet."""
    caches = [cache(store, 1), cache(store, 2)]
    for one in caches:
        one.wait_kept(1, 2)
        assert one.read(1)[0]["stock"] == 100000
    others = [one.kept_entry(2) for one in caches]
    began, acknowledged, left = buy(buyer, 1, "buy-1")
    for one, other in zip(caches, others):
        told = one.told_of("invalidate", "item:1")
        assert told and began < told[0] < acknowledged
        item, hit = one.read(1)
        assert item["stock"] == left == 99999, (item, hit)
        assert one.kept_entry(2) is other is not None, "what was not written is kept"
        one.wait_kept(2)
    for one in caches:
        one.wait_kept(1)
        assert one.read(1)[0]["stock"] == left
        assert one.told_of("release", "item:1")


def test_a_hot_item_costs_one_approval(store, cache, buyer):
    """What nobody holds needs nobody's word: of many buys in a row the first one asks."""
    one = cache(store)
    one.wait_kept(1)
    approvals, spared = "pygmy_lease_approvals_total", "pygmy_lease_spared_total"
    asked, not_asked = count(store, approvals), count(store, spared)
    buys = [buy(buyer, 1, f"hot-{i}") for i in range(40)]
    wait_until(lambda: count(store, approvals) - asked + count(store, spared) - not_asked >= 40)
    # It may be held again when the catalog was told of no buy for that long. Such a pause is
    # between the beginning of one and the acknowledgement of the next.
    pauses = sum(following[1] - one[0] > QUIET_S for one, following in zip(buys, buys[1:]))
    assert 1 <= count(store, approvals) - asked <= 1 + pauses, pauses
    assert one.read(1)[0]["stock"] == 100000 - 40


def test_topics_are_told_old_and_new(store, cache):
    """A change of topic names the item and both topics; one of the price the item alone."""
    one = cache(store)
    one.wait_kept(1)
    answer = store.admin("PATCH", "/items/1", {"topic": "NEW"}, {"If-Match": "*"})
    assert answer.status == 200, answer
    told = [message for _, message in one.told if message["type"] == "invalidate"]
    assert set(told[-1]["keys"]) == {"item:1", "topic:old", "topic:new"}
    one.wait(lambda: one.told_of("release", "topic:new"), "all is quiet")
    assert store.admin("PATCH", "/items/1", {"price_cents": 5}, {"If-Match": "*"}).status == 200
    told = [message for _, message in one.told if message["type"] == "invalidate"]
    assert told[-1]["keys"] == ["item:1"]
    assert one.read(1)[0]["price_cents"] == 5
    # Ones that come together go one after the other.
    client = Client(bus_endpoint(store))
    answers = client.call_all([("catalog.leader", {
        "op": "item_edit", "secret": one.secret, "key": f"edit-{i}", "stamp": client.log_time(),
        "id": 1 + i % 3, "topic": f"Topic {i}"}) for i in range(12)])
    client.close()
    assert [status for status, _ in answers] == [0] * 12, answers
    told = {key for _, message in one.told for key in message.get("keys", ())}
    assert {f"topic:topic {i}" for i in range(12)} <= told


def test_no_such_item_is_known_until_there_is_one(store, cache):
    one = cache(store)
    wait_until(lambda: one.read(77) == (None, True))
    add_item(store, 77, title="New", price_cents=1)
    assert one.read(77)[0]["title"] == "New"


def test_a_large_import_lets_go_of_everything(store, cache):
    """More keys than a message names are all keys there are."""
    one = cache(store)
    one.wait_kept(1, 2)
    client = Client(bus_endpoint(store))
    status, body = client.call("catalog.leader", {
        "op": "import", "secret": one.secret, "key": "books", "stamp": client.log_time(),
        "default_price_cents": 100, "rows": [{"id": i, "title": "x"} for i in range(1000, 1300)]})
    client.close()
    assert status == 0, body
    assert any(message.get("all") for _, message in one.told)
    one.wait_kept(1, 1000)
    assert one.read(1000)[0]["title"] == "x"


# ---- Waiting ---------------------------------------------------------------------------------


def test_a_buy_waits_for_the_last_acknowledgement(store, cache):
    """And for no more than that."""
    caches = [cache(store, 1), cache(store, 2)]
    for one in caches:
        one.wait_kept(1)
    caches[1].mute.set()
    order = Buy(store, 1, "buy-1")
    caches[1].wait(lambda: caches[1].told_of("invalidate", "item:1"), "the mute cache is told")
    told = caches[1].told_of("invalidate", "item:1")[0]
    caches[1].wait(lambda: len(caches[1].told_of("invalidate", "item:1")) > 4, "it is told again")
    assert order.result is None  # for 160 ms: it is told at 0, 20, 40, 80 and 160
    caches[1].mute.clear()
    spoke = time.clock_gettime(time.CLOCK_BOOTTIME)
    _, acknowledged, left = order.wait()
    assert spoke < acknowledged
    for one in caches:
        assert one.read(1)[0]["stock"] == left
    assert acknowledged - told < WAIT_S + NOISE_S


def test_a_dead_cache_delays_a_writer_one_lease_and_once(store, cache, buyer):
    one = cache(store)
    one.wait_kept(1, 2)
    one.pause()
    began, acknowledged, _ = buy(buyer, 1, "buy-1")
    assert acknowledged - began < WAIT_S + NOISE_S
    assert wait_until(lambda: count(store, "pygmy_lease_lapses_total") == 1)
    buy(buyer, 2, "buy-2")
    # Whom it had waited for would be counted in the turn in which it was proposed.
    assert count(store, "pygmy_lease_lapses_total") == 1
    assert not one.read(1)[1] and not one.read(2)[1], "its lease is over"
    # When it goes on it is let in again, and knows nothing of before.
    one.resume()
    one.wait(lambda: one.flushes > 0 and one.valid(), "it has synced again")
    assert one.read(1)[0]["stock"] == one.read(2)[0]["stock"] == 99999
    one.wait_kept(1)


def test_a_write_gives_up_in_time_and_nothing_has_happened(store, cache):
    """Who asks for less time than a dead cache takes is refused, definitely, and may ask again."""
    one = cache(store)
    one.wait_kept(1)
    one.pause()
    client = Client(bus_endpoint(store))
    request = {"op": "stock", "secret": one.secret, "key": "more", "stamp": client.log_time(),
               "id": 1, "change": 5}
    status, body = client.call("catalog.leader", request, 0.3)
    assert status in (103, 3), body  # unavailable; or expired, which the broker says
    status, body = client.call("catalog.leader", request)
    assert status == 0 and body["replayed"] is False, body
    assert client.call("catalog", {"op": "lookup", "id": 1})[1]["item"]["stock"] == 100005
    client.close()


def test_without_a_session_nobody_waits(store, buyer):
    for i in range(20):
        buy(buyer, 1, f"buy-{i}")
    assert count(store, "pygmy_lease_sessions") == 0
    assert count(store, "pygmy_lease_wait_seconds_count") == 0
    assert count(store, "pygmy_lease_messages_total") == 0


# ---- Whoever dies ----------------------------------------------------------------------------


class Stock:
    """The least that was acknowledged to a buyer, or read by anybody."""

    def __init__(self, least):
        self.least, self.lock = least, threading.Lock()

    def told(self, left):
        with self.lock:
            self.least = min(self.least, left)


class Witness(LoopThread):
    """Reads an item that is only sold, through a cache, again and again: never more of it than
    anybody knew of before the read began."""

    def __init__(self, one, item, stock):
        super().__init__()
        self.one, self.item, self.stock = one, item, stock
        self.hits = 0
        self.start()

    def turn(self):
        least = self.stock.least
        item, hit = self.one.read(self.item)
        assert item["stock"] <= least, (item, hit, least)
        self.stock.told(item["stock"])
        self.hits += hit
        self.ended.wait(0.001)

    def wait_hit(self):
        """Until it is served from memory once more."""
        hits = self.hits
        self.wait(lambda: self.hits > hits, f"another hit of item {self.item}", WELL_S)


class Buys(LoopThread):
    """One after the other of an item, so that nobody has to be asked before: when a leader goes,
    one is being written."""

    def __init__(self, store, item, stock):
        super().__init__()
        self.buyer, self.item, self.stock = HttpBuyer(http_port(store)), item, stock
        self.lefts = []
        self.start()

    def turn(self):
        left = buy(self.buyer, self.item, f"item-{self.item}-{len(self.lefts)}")[2]
        self.stock.told(left)
        self.lefts.append(left)

    def close(self):
        self.buyer.close()

    def wait_more(self, more):
        enough = len(self.lefts) + more
        self.wait(lambda: len(self.lefts) >= enough, f"{more} more buys of item {self.item}", WELL_S)


@pytest.mark.parametrize("how", ["kill", "term", "pause"])
def test_a_leader_goes_and_no_cache_is_stale(store, cache, how):
    """Killed, told to stop, or stopped for longer than a lease, while a write waits for a cache
    that stands still. That one holds two items by a lease that the next leader knows nothing of,
    and the first to write the second is a buy at the next leader: neither is acknowledged before
    that lease is over. A third is bought all the time. The caches are with the next leader then."""
    caches = moving, still = cache(store, 1), cache(store, 2)
    stocks = {item: Stock(100000) for item in (1, 2, 3)}
    witnesses = [Witness(one, item, stocks[item]) for one in caches for item in stocks]
    buys = Buys(store, 3, stocks[3])
    buys.wait_more(5)
    moving.wait_kept(1, 2)
    still.pause_holding(1, 2)
    leader = leader_of(store, "catalog")
    pid, term = store.pid(leader), moving.term
    order = Buy(store, 1, "buy-1")
    moving.wait(lambda: moving.told_of("invalidate", "item:1"), "the write waits")
    gone = time.clock_gettime(time.CLOCK_BOOTTIME)
    os.kill(pid, {"kill": signal.SIGKILL, "term": signal.SIGTERM, "pause": signal.SIGSTOP}[how])
    buyer = HttpBuyer(http_port(store))

    def told(item, result, left):
        stocks[item].told(result[2])
        assert result[2] == left, "each was sold once"
        return result[1]

    try:
        second = told(2, buy(buyer, 2, "buy-2"), 99999)
        assert min(second, told(1, order.wait(), 99999)) > still.expiry
        still.resume()
        buys.wait_more(20)
        wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > gone + WAIT_S)
    finally:
        if how == "pause":
            os.kill(pid, signal.SIGCONT)
    for one in caches:
        one.wait(lambda one=one: one.term > term and one.valid(), "it is with the next leader",
                 WELL_S)
    buys.wait_more(5)
    buys.end()
    for witness in witnesses:
        witness.wait_hit()
    for item in (1, 2):
        told(item, buy(buyer, item, f"last-{item}"), 99998)
    buyer.close()
    for witness in witnesses:
        witness.wait_hit()
        witness.end()
    sold = len(buys.lefts)
    assert buys.lefts == list(range(99999, 99999 - sold, -1)), "each was sold once"
    for one in caches:
        assert [one.read(item)[0]["stock"] for item in stocks] == [99998, 99998, 100000 - sold]


def test_an_import_does_not_keep_all_from_memory_while_one_item_is_sold(store, cache):
    """More keys than are told by name: for a moment no cache may hold anything. It is over for all
    but the item that is being bought all the time."""
    one = cache(store)
    one.wait_kept(1)
    buys = Buys(store, 3, Stock(100000))
    buys.wait_more(5)
    rows = "".join(f"{item},Book {item},10,100\n" for item in range(1000, 1300))
    imported = store.pygmy("import", "-", stdin="id,title,stock,price_cents\n" + rows)
    assert imported.code == 0, imported
    assert one.told_of("invalidate", "item:1"), "all keys were, as nobody wrote this one"
    one.wait_kept(1, 1000)
    buys.wait_more(5)
    buys.end()


def test_a_session_that_is_silent_is_closed(store, cache):
    """Ten leases after its last word; and the leader knows it no more."""
    one = cache(store)
    one.stop.set()
    one.join()
    wait_until(lambda: count(store, "pygmy_lease_sessions") == 0, 30.0, "its session is closed")
    client = Client(bus_endpoint(store))
    status, body = client.call(LEASES, {"op": "lease_renew", "secret": one.secret, "ask": 1000,
                                        "session": one.session, "term": one.term, "acked": 0,
                                        "epoch": one.epoch, "cluster": one.cluster})
    client.close()
    assert status == NOT_FOUND and body["error"]["term"] == one.term, body


def test_who_leaves_is_waited_for_no_more(store, cache, buyer):
    """No write waits for the lease of a cache that has ended in order, though it would last for long."""
    one, other = cache(store, 1), cache(store, 2)
    one.wait_kept(1)
    other.wait_kept(1)
    session = one.session
    assert one.leave()[0] == 0
    buy(buyer, 1, "buy-1")
    assert count(store, "pygmy_lease_lapses_total") == 0
    wait_until(lambda: count(store, "pygmy_lease_sessions") == 1, 5.0, "its session is closed")
    buy(buyer, 1, "buy-2")
    assert count(store, "pygmy_lease_lapses_total") == 0
    other.wait_kept(1)
    assert other.read(1)[0]["stock"] == 99998
    client = Client(bus_endpoint(store))
    close = {"op": "lease_close", "secret": other.secret, "cluster": other.cluster}
    assert client.call(LEASES, {**close, "session": session})[0] == NOT_FOUND
    elsewhere = {**close, "session": other.session, "cluster": "0" * 32}
    assert client.call(LEASES, elsewhere)[0] == NOT_FOUND
    client.close()
    assert count(store, "pygmy_lease_sessions") == 1


# ---- What is refused -------------------------------------------------------------------------


def test_asks_that_are_none_are_refused(store):
    client = Client(bus_endpoint(store))
    secret = store.read("cluster.secret").strip()
    assert client.call(LEASES, {"op": "lease_open"})[0] == FORBIDDEN
    assert client.call(LEASES, {"op": "lease_open", "secret": secret, "x": 1})[0] == INVALID
    status, opened = client.call(LEASES, {"op": "lease_open", "secret": secret})
    assert status == 0 and opened["cluster"] in store.read("cluster.conf"), opened
    good = {"secret": secret, "session": opened["session"], "term": opened["term"], "epoch": 1,
            "ask": 1, "cluster": opened["cluster"]}
    close = {"op": "lease_close", "session": opened["session"], "cluster": opened["cluster"]}
    assert client.call(LEASES, close)[0] == FORBIDDEN
    assert client.call(LEASES, {**close, "secret": secret, "cluster": "x"})[0] == INVALID
    assert client.call(LEASES, {**close, "secret": secret, "session": 0})[0] == INVALID
    for name in ("session", "term", "epoch", "ask"):
        assert client.call(LEASES, {"op": "lease_sync", **good, name: -1})[0] == INVALID
    assert client.call(LEASES, {"op": "lease_renew", **good})[0] == INVALID  # acked is missing
    other = {**good, "session": opened["session"] + 1}
    assert client.call(LEASES, {"op": "lease_sync", **other})[0] == NOT_FOUND
    foreign = {**good, "cluster": "0" * 32}  # where the number may be of somebody else
    assert client.call(LEASES, {"op": "lease_sync", **foreign})[0] == NOT_FOUND
    assert client.call(LEASES, {"op": "lease_renew", **foreign, "acked": 0})[0] == NOT_FOUND
    status, body = client.call(LEASES, {"op": "lease_sync", **good, "term": opened["term"] + 1})
    assert status == MISMATCH and body["error"]["term"] == opened["term"], body
    status, body = client.call(LEASES, {"op": "lease_renew", **good, "acked": 0})
    assert status == MISMATCH, body  # it has not synced
    status, body = client.call(LEASES, {"op": "lease_sync", **good})
    assert status == 0 and 0 < body["remaining_ms"] <= 1000 and body["keys"] == [], body
    assert body["epoch"] == 1 and body["ask"] == 1 and body["index"] >= opened["session"], body
    assert client.call(LEASES, {"op": "lease_sync", **good})[0] == MISMATCH, "a doubled one"
    status, body = client.call(LEASES, {"op": "lease_renew", **good, "ask": 2,
                                        "acked": body["seq"]})
    assert status == 0 and 0 < body["remaining_ms"] <= 1000, body
    assert client.call("catalog.leader", {"op": "lease_open", "secret": secret})[0] == 12
    client.close()
