"""The stream of committed changes, followed by a subscriber that knows docs/protocol.md alone.

Whoever and whatever dies meanwhile: in the end the follower has the last state of each item and each
order, and it has never seen one go back.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import itertools
import os
import re
import sqlite3
import threading

import pytest

from bus import Client, Unknown
from cluster import wait_until
from feed import Asker, Follower, endpoints_of, metric_of, pages_of, replicas_in
from replicas import followers_of, kill_for_good, leader_of, wait_well
from shop import HttpBuyer, add_item, http_port

THREE = ["--brokers", "2", "--catalogs", "3", "--orders", "3"]
GROUPS = ("catalog", "order")
MESSAGES, ROWS = "pygmy_changes_messages_total", "pygmy_changes_rows_total"
ITEMS = range(1, 9)


@pytest.fixture(name="follow")
def follow_fixture():
    """follow(store, group, since): a follower, closed when the test is over."""
    followers = []

    def follow(*arguments):
        followers.append(Follower(*arguments))
        follower = followers[-1]
        follower.wait(lambda: follower.position is not None, what="it knows where it is")
        return follower

    yield follow
    for follower in followers:
        follower.close()


def applied(store, group):
    """The highest index that a replica of the group has applied."""
    asker = Asker(store)
    answers = [asker.ask(name, {"op": "changes"}) for name in replicas_in(store, group)]
    asker.close()
    return max(answer["index"] for answer in answers if answer)


def assert_followed(store, followers):
    """What the followers have been told is what the store holds: every item and every order, with
    its version and in full."""
    client = Client(endpoints_of(store, "bus")[0])
    for follower in followers:
        follower.wait_for(applied(store, follower.group))
    catalog, order = followers
    items = {item["id"]: item for item in pages_of(client, "catalog", "items", "items")}
    orders = {row["order_number"]: row for row in pages_of(client, "order", "orders", "orders")}
    client.close()
    told = {row["id"]: row["item"] for row in catalog.rows.values() if "removed" not in row}
    assert told == items
    assert all(row["item"]["version"] == row["version"]
               for row in catalog.rows.values() if "item" in row)
    assert {number: row["order"] for number, row in order.rows.items()} == orders
    return items, orders


class Buyers:
    """Customers that buy and cancel, each request sent again until it is known what came of it."""

    def __init__(self, store, count=4):
        self.store, self.stop, self.done = store, threading.Event(), [0] * count
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(count)]

    def call(self, buyer, path, body, key):
        while True:
            try:
                status, answer, _ = buyer.call("POST", path, body, {"Idempotency-Key": key})
            except Exception:  # the bridge itself stays: a broken connection is made anew
                continue
            if status < 500:
                assert status in (200, 201), answer
                return answer

    def run(self, who):
        buyer = HttpBuyer(http_port(self.store))
        for i in itertools.count():
            if self.stop.is_set():
                break
            lines = [{"id": 1 + (who + i + j) % len(ITEMS), "quantity": 1} for j in range(2)]
            order = self.call(buyer, "/orders", {"lines": lines}, f"buy-{who}-{i}")
            if i % 5 == 0:
                self.call(buyer, f"/orders/{order['order_number']}/cancel", None,
                          f"cancel-{who}-{i}")
            self.done[who] += 1
        buyer.close()

    def go_on(self, count=20):
        before = list(self.done)
        wait_until(lambda: all(now >= was + count for now, was in zip(self.done, before)), 60,
                   "every customer goes on")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


# ---- What is told ------------------------------------------------------------------------------


def test_changes_are_told_live_and_in_order(cluster, follow):
    """A sale, an edit, an import of many rows, a removal; an order and its cancel."""
    add_item(cluster, 1, title="One", price_cents=100, stock=10)
    catalog, order = follow(cluster, "catalog"), follow(cluster, "order")
    catalog.wait_live()
    asked = catalog.asked
    assert cluster.admin("PATCH", "/items/1", {"price_cents": 250}, {"If-Match": "*"}).status == 200
    answer = cluster.post("/orders", {"lines": [{"id": 1, "quantity": 3}]},
                          {"Idempotency-Key": "buy"})
    assert answer.status == 201, answer
    assert cluster.post("/orders/1/cancel", None, {"Idempotency-Key": "cancel"}).status == 200
    rows = "id,title,price_cents,stock\n" + "".join(f"{i},Book {i},500,7\n" for i in range(100, 200))
    with open(cluster.path("books.csv"), "w", encoding="utf-8") as file:
        file.write(rows)
    imported = cluster.pygmy("import", cluster.path("books.csv"))
    assert imported.code == 0, imported
    assert cluster.admin("DELETE", "/items/150", None, {"If-Match": "*"}).status == 204
    catalog.wait_for(applied(cluster, "catalog"))
    order.wait_for(applied(cluster, "order"))

    versions = [row["version"] for row in catalog.told]
    assert versions == sorted(versions)
    ones = [row["item"] for row in catalog.told if row["id"] == 1]
    # What follows closely on each other may be told as one.
    assert ones[-1]["stock"] == 10 and ones[-1]["price_cents"] == 250
    assert {row["id"] for row in catalog.told} == {1, *range(100, 200)}
    assert catalog.rows[150] == {"version": versions[-1], "id": 150, "removed": True}
    assert [row["order"]["state"] for row in order.told][-1] == "cancelled"
    assert order.rows[1]["order"] == cluster.get("/orders/1").json
    assert catalog.asked == asked and catalog.gaps == 0, "all of it came live"


def test_without_a_subscriber_nothing_is_published(cluster, follow):
    """Not one message is made before somebody subscribes, and none after the last has gone."""
    add_item(cluster, 1, title="One", price_cents=100, stock=10)
    assert metric_of(cluster, "catalog-1", MESSAGES) == 0
    follower = follow(cluster, "catalog")
    follower.wait(lambda: follower.live >= 2, what="beats")
    assert metric_of(cluster, "catalog-1", MESSAGES) >= 2
    assert metric_of(cluster, "order-1", MESSAGES) == 0, "nobody has asked for orders"
    follower.close()

    def is_silent():
        before = metric_of(cluster, "catalog-1", MESSAGES)
        change = cluster.admin("POST", "/items/1/stock", {"change": 1, "reason": "more"})
        assert change.status == 200, change
        return metric_of(cluster, "catalog-1", MESSAGES) == before
    wait_until(is_silent, what="the publisher has noticed that nobody listens")
    count = metric_of(cluster, "catalog-1", MESSAGES)
    for _ in range(20):
        add_item(cluster, 1000 + _, title="Another", price_cents=1)
    assert metric_of(cluster, "catalog-1", MESSAGES) == count


# ---- What was missed ---------------------------------------------------------------------------


def test_what_was_missed_is_answered_by_every_replica(cluster):
    """In pages that end where an entry ends; nothing for who asks for nothing, or is ahead."""
    for i in ITEMS:
        add_item(cluster, i, title=f"Item {i}", price_cents=100, stock=10)
    asker = Asker(cluster)
    now = asker.ask("catalog-1", {"op": "changes"})
    assert now["changes"] == [] and now["from"] == now["index"] and not now["more"]
    ahead = asker.ask("catalog-1", {"op": "changes", "since": now["index"] + 1000})
    assert ahead["changes"] == [] and ahead["index"] == now["index"] < ahead["from"]
    assert not ahead["more"]
    since, told, more = 0, [], True
    while more:
        page = asker.ask("catalog-1", {"op": "changes", "since": since, "limit": 3})
        assert page["from"] == since and len(page["changes"]) <= 3
        told += [row["id"] for row in page["changes"]]
        more, since = page["more"], page["index"]
    assert told == list(ITEMS) and since == now["index"]
    client = Client(endpoints_of(cluster, "bus")[0])
    for wrong in ({"since": -1}, {"limit": 0}, {"limit": 257}, {"since": "0"}, {"until": 3}):
        status, body = client.call("node.catalog-1", {"op": "changes", **wrong})
        assert status == 200 and body["error"]["type"] == "invalid", (wrong, body)
    for name in ("broker-1", "bridge-1"):
        status, body = client.call(f"node.{name}", {"op": "changes"})
        assert status == 12 and body["error"]["type"] == "not-implemented", (name, body)
    client.close()
    asker.close()


def test_an_old_position_is_good_after_restarts_and_snapshots(make_cluster, follow):
    """The store takes snapshots and cuts its logs, is shut down and started again: who was there at the
    very beginning, and who was there in the middle, are told what they missed, and go on live."""
    store = make_cluster(env={"PYGMY_CLUSTER_SNAPSHOT_ENTRIES": "100"})
    for i in ITEMS:
        add_item(store, i, title=f"Item {i}", price_cents=100, stock=10**6)
    middle = {group: applied(store, group) for group in GROUPS}
    for name in ("catalog-1", "order-1"):
        with Buyers(store) as buyers:
            wait_until(lambda n=name: "a snapshot is ready" in store.read(f"{n}.log"), 60,
                       "a snapshot")
            buyers.go_on()
    store.down()
    store.up()
    late = [follow(store, group, middle[group]) for group in GROUPS]
    first = [follow(store, group, 0) for group in GROUPS]
    with Buyers(store, 1) as buyers:
        buyers.go_on(5)
    items, orders = assert_followed(store, first)
    assert len(items) == len(ITEMS) and len(orders) > 100
    for follower, whole in zip(late, first):
        follower.wait_for(whole.position)
        assert follower.rows == {name: row for name, row in whole.rows.items()
                                 if row["version"] > middle[follower.group]}


def test_what_was_lost_on_the_way_is_noticed(cluster, follow):
    """Even the last message, which no other one follows but the beat."""
    follower = follow(cluster, "catalog")
    follower.wait_live()
    assert follower.gaps == 0
    follower.deaf.set()
    add_item(cluster, 1, title="One", price_cents=100, stock=10)
    wait_until(lambda: metric_of(cluster, "catalog-1", ROWS) > 0, what="it is published")
    wait_until(lambda: follower.dropped > 0, what="it is lost")
    lived = follower.live
    follower.deaf.clear()
    follower.wait_for(applied(cluster, "catalog"))
    assert follower.gaps == 1 and follower.live > lived
    assert follower.rows[1]["item"]["stock"] == 10


# ---- Deaths ------------------------------------------------------------------------------------


@pytest.mark.limit_s(240)
def test_nothing_is_missed_whoever_dies(make_cluster, follow):
    """kill -9 of each group's leader and of a broker while customers buy and cancel."""
    store = make_cluster(*THREE)
    followers = [follow(store, group, 0) for group in GROUPS]
    for i in ITEMS:
        add_item(store, i, title=f"Item {i}", price_cents=100, stock=10**6)
    with Buyers(store) as buyers:
        buyers.go_on()
        for group in GROUPS:
            store.kill(leader_of(store, group))
            buyers.go_on()
        kill_for_good(store, "broker-1")
        buyers.go_on()
        store.start("broker-1")
        buyers.go_on()
    wait_well(store)
    items, orders = assert_followed(store, followers)
    print([(follower.group, follower.live, follower.gaps, follower.asked)
           for follower in followers], len(orders))
    assert len(items) == len(ITEMS) and len(orders) >= 4 * 20 * 5
    assert any(order["state"] == "cancelled" for order in orders.values())
    for follower in followers:
        assert follower.live > 0
        terms = store.pygmy("status", "--json").json["processes"]
        assert max(row["term"] or 0 for row in terms if row["kind"] == follower.group) > 1


# ---- A replica whose tables are wrong -----------------------------------------------------------


def test_who_knows_its_tables_to_be_wrong_tells_nobody(make_cluster):
    """Somebody has changed a follower's tables behind its back. From the moment that it knows, it
    answers nobody what has changed, nor whether it adds up."""
    store = make_cluster(*THREE)
    for item in ITEMS:
        add_item(store, item, title=f"Item {item}", price_cents=1, stock=1000000)
    wrong = followers_of(store, "catalog")[0]
    with contextlib.closing(sqlite3.connect(store.path(wrong, "state.db"), timeout=10)) as tables:
        with tables:
            tables.execute("UPDATE item SET moved = moved + 1, stock = stock + 1")
    client = Client(endpoints_of(store, "bus")[0])
    asked = {op: {"op": op, "request_id": f"asked-{op}"} for op in ("changes", "audit", "digest")}
    asked["changes"] |= {"since": 0, "limit": 1}
    pid, over = store.pid(wrong), threading.Event()

    def load():
        while not over.is_set():
            store.pygmy("bench", "buy", "--seconds", "1")

    def ask_until_it_ends():
        with contextlib.suppress(Unknown):
            client.call_all([(f"node.{wrong}", asked[op]) for op in asked for _ in range(4)], 1)
        return not os.path.exists(f"/proc/{pid}")

    loader = threading.Thread(target=load)
    loader.start()
    try:
        wait_until(ask_until_it_ends, 60, "it is found, and ends")
    finally:
        over.set()
        loader.join()
        client.close()
    said = store.read(wrong + ".log").splitlines()
    known = next(i for i, line in enumerate(said) if 'msg="the tables here are not those' in line)
    late = [re.search(r" op=(\w+) code=([\w-]+) .*request_id=asked-", line) for line in said[known:]]
    assert {line[1] for line in late if line and line[2] == "ok"} <= {"digest"}, said[known:]
