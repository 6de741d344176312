"""What a bridge answers from its memory: the same bytes, never older than what was acknowledged.

A real store, with two bridges that keep what they read and a third that keeps nothing.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from cluster import Cluster, wait_until
from feed import metric_of
from loop_thread import LoopThread

TOPIC = "cache tests"
KEEPS, KEEPS_TOO, KEEPS_NOTHING = 1, 2, 3


@pytest.fixture(scope="module")
def running():
    store = Cluster("--bridges", "3", env={"PYGMY_BRIDGES_BRIDGE_3_CACHE_ENTRIES": "0"})
    store.up()
    yield store
    store.close()


@pytest.fixture
def store(running):
    return running


def add(store, item, **fields):
    answer = store.admin("POST", "/items", {"id": item, "title": f"Item {item}",
                                            "price_cents": 250, "stock": 1000, **fields})
    assert answer.status == 201, answer


def is_hit(answer):
    return answer.headers["Cache-Status"] == "pygmy; hit"


def hit(store, path, bridge=KEEPS, method="GET", headers=None):
    """The first answer to come from memory: an item that was changed a moment ago is not kept, and
    on a busy machine a lease may end before it is renewed."""
    def look():
        answer = store.http(method, path, headers=headers, bridge=bridge)
        assert answer.headers["Cache-Status"] in ("pygmy; hit", "pygmy; fwd=miss"), answer
        return answer if is_hit(answer) else None
    return wait_until(look, what=f"{path} from memory of bridge {bridge}")


def listens(store, bridge):
    try:
        return store.get("/healthz", bridge=bridge).status == 200
    except OSError:  # refused, or closed
        return False


def cache(store, bridge=KEEPS):
    return store.admin("GET", "/cache", bridge=bridge).json


def test_a_hit_has_the_bytes_of_the_stores_answer(store):
    """Status, body and tag are those of a bridge that asks the store; only the source is told."""
    add(store, 920001, title="Caf\u00e9 \"quoted\" \\ \u4e66", topic=TOPIC, year=-44)
    plain = store.get("/lookup/920001", bridge=KEEPS_NOTHING)
    kept = hit(store, "/lookup/920001")
    assert (kept.status, kept.body) == (plain.status, plain.body)
    for name in ("ETag", "Content-Type", "Content-Length", "Cache-Control"):
        assert kept.headers[name] == plain.headers[name], name
    assert kept.headers["Cache-Control"] == "no-cache"
    assert plain.headers["Cache-Status"] is None


def test_a_hit_knows_what_its_client_has(store):
    """304 from memory, with the length of what is not sent."""
    add(store, 920002)
    path = "/lookup/920002"
    whole = hit(store, path)
    answer = hit(store, path, headers={"If-None-Match": whole.headers["ETag"]})
    assert answer.status == 304 and answer.body == b""
    assert answer.headers["Content-Length"] == whole.headers["Content-Length"]
    assert hit(store, path, headers={"If-None-Match": '"1"'}).status == 200
    head = hit(store, path, method="HEAD")
    assert head.status == 200 and head.body == b""


def test_that_there_is_no_such_item_is_kept_too(store):
    """A 404 from memory is worded as the store's, and ends when the item comes to be."""
    path = "/lookup/920003"
    plain = store.get(path, bridge=KEEPS_NOTHING)
    kept = hit(store, path)
    assert kept.status == plain.status == 404
    assert {**kept.json, "request_id": ""} == {**plain.json, "request_id": ""}
    add(store, 920003)
    assert store.get(path).status == 200


def test_a_topic_is_kept(store):
    """A page is from memory when its list and its items are; it follows what happens to both."""
    topic, path = "kept topic", "/search/kept%20topic?limit=2"
    for item in (920011, 920012, 920013):
        add(store, item, topic=topic)
    page = hit(store, path)
    plain = store.get(path, bridge=KEEPS_NOTHING)
    assert page.json == plain.json and [row["id"] for row in page.json["items"]] == [920011, 920012]
    assert page.headers["Link"] == plain.headers["Link"] is not None
    edited = store.admin("PATCH", "/items/920012", {"title": "Other", "topic": "elsewhere"},
                         {"If-Match": "*"}, bridge=KEEPS_TOO)
    assert edited.status == 200
    assert [row["id"] for row in store.get(path).json["items"]] == [920011, 920013]
    assert store.admin("DELETE", "/items/920011", bridge=KEEPS_TOO).status == 204
    assert [row["id"] for row in store.get(path).json["items"]] == [920013]
    assert hit(store, path).json["next"] is None


def test_what_was_acknowledged_is_seen_everywhere_at_once(store):
    """Each buy, through one bridge, is seen by the next look at the other, which had the item in
    its memory a moment ago."""
    add(store, 920021)
    left = 1000
    for _ in range(20):
        assert hit(store, "/lookup/920021", bridge=KEEPS_TOO).json["stock"] == left
        assert store.post("/buy/920021", {"quantity": 1}).status == 201
        left -= 1
        for bridge in (KEEPS_TOO, KEEPS, KEEPS_NOTHING):
            assert store.get("/lookup/920021", bridge=bridge).json["stock"] == left


class Watcher(LoopThread):
    """Looks an item that is only sold up at a bridge, again and again: it is told of no more than
    it was before, nor than was left of it by a buy that had been acknowledged."""

    def __init__(self, store, bridge, path, left):
        super().__init__()
        self.store, self.bridge, self.path, self.left = store, bridge, path, left
        self.hits, self.least = 0, left[0]
        self.start()

    def turn(self):
        least = min(self.least, self.left[0])
        answer = self.store.get(self.path, bridge=self.bridge)
        assert answer.status == 200, answer
        self.least = answer.json["stock"]
        assert self.least <= least, (self.bridge, self.least, least, is_hit(answer))
        self.hits += is_hit(answer)

    def wait_hit(self):
        hits = self.hits
        self.wait(lambda: self.hits > hits, f"another hit at bridge {self.bridge}")


def test_nobody_sees_stock_come_back_while_an_item_is_hot(store):
    """Readers at both bridges, one buyer. While he buys, nothing is kept of the item; so he rests
    now and then until both bridges have it in memory again, and his next buy takes it away."""
    add(store, 920022)
    left = [1000]
    watchers = [Watcher(store, bridge, "/lookup/920022", left) for bridge in (KEEPS, KEEPS_TOO)]
    try:
        for i in range(60):
            if i % 10 == 0:
                for watcher in watchers:
                    watcher.wait_hit()
            answer = store.post("/buy/920022", {"quantity": 1}, bridge=KEEPS_TOO)
            assert answer.status == 201, answer
            left[0] = answer.json["lines"][0]["stock_left"]
    finally:
        for watcher in watchers:
            watcher.ended.set()
    for watcher in watchers:
        watcher.end()
    assert left[0] == 940


def test_the_operator_drops_what_is_kept(store):
    """One item, or all; the lease stays, and so what is read next is kept again."""
    one, other = "/lookup/920031", "/lookup/920032"
    add(store, 920031)
    add(store, 920032)

    def only_one_is_dropped():
        hit(store, one)
        hit(store, other)
        assert store.admin("DELETE", "/cache/920031").status == 204
        kept = is_hit(store.get(other))
        assert not is_hit(store.get(one))
        return kept
    wait_until(only_one_is_dropped, what="the other item is still kept")
    hit(store, other)
    assert store.admin("DELETE", "/cache").status == 204
    assert not is_hit(store.get(other))
    hit(store, other)
    seen = wait_until(lambda: (now := cache(store))["lease_left_ms"] > 0 and now)
    assert seen["session"] > 0 and seen["term"] > 0 and seen["lease_left_ms"] <= 1000
    assert 0 < seen["entries"] <= seen["entries_max"] and 0 < seen["bytes"] <= seen["bytes_max"]


def test_metrics_tell_what_the_cache_does(store):
    """Hits and misses are counted where /cache counts them; what has no cache counts nothing."""
    def metric(name, bridge):
        lines = store.get("/metrics", bridge=bridge).body.decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.split()[0] == name)

    add(store, 920041)
    hit(store, "/lookup/920041")
    before = cache(store)
    for _ in range(5):
        hit(store, "/lookup/920041")
    assert metric("pygmy_cache_hits_total", KEEPS) >= before["hits"] + 5
    assert metric("pygmy_cache_fills_stored_total", KEEPS) >= before["stored"] > 0
    assert metric("pygmy_cache_entries", KEEPS) > 0
    assert wait_until(lambda: metric("pygmy_cache_lease_seconds", KEEPS)) <= 1
    assert metric("pygmy_cache_misses_total", KEEPS_NOTHING) == 0
    assert metric("pygmy_cache_lease_seconds", KEEPS_NOTHING) == 0
    assert cache(store, KEEPS_NOTHING)["entries_max"] == 0


def test_a_bridge_that_is_stopped_delays_no_writer(store):
    """It says that its lease is over: its session is closed at once, and no write waits for it."""
    add(store, 920061)
    for bridge in (KEEPS, KEEPS_TOO):
        hit(store, "/lookup/920061", bridge)
    lapses = metric_of(store, "catalog-1", "pygmy_lease_lapses_total")
    store.stop(f"bridge-{KEEPS_TOO}")
    answer = store.admin("PATCH", "/items/920061", {"price_cents": 5}, {"If-Match": "*"})
    assert answer.status == 200, answer
    wait_until(lambda: metric_of(store, "catalog-1", "pygmy_lease_sessions") == 1, 5, "it is closed")
    assert metric_of(store, "catalog-1", "pygmy_lease_lapses_total") == lapses
    store.start(f"bridge-{KEEPS_TOO}")
    wait_until(lambda: listens(store, KEEPS_TOO), what="it listens")
    assert hit(store, "/lookup/920061", KEEPS_TOO).json["price_cents"] == 5


def test_without_a_leader_nothing_is_served_for_long(store):
    """When the catalog is gone a lease ends, and with it what is kept: a read is not answered then,
    instead of being answered with what may be old. It all comes back by itself."""
    add(store, 920051)
    hit(store, "/lookup/920051")
    store.stop("catalog-1")
    wait_until(lambda: cache(store)["lease_left_ms"] == 0, what="the lease has ended")
    answer = store.get("/lookup/920051", timeout=30)
    assert answer.status in (503, 504) and not is_hit(answer)
    store.start("catalog-1")
    wait_until(lambda: store.get("/lookup/920051", timeout=30).status == 200, 20, "it is back")
    hit(store, "/lookup/920051")
