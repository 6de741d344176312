"""The catalog as a process: over the bus, through a kill, with its timers.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from bus import Client, Unknown
from cluster import wait_until
from shop import assert_conserved, bus_endpoint

OK, TOO_LARGE, INVALID, OUT_OF_STOCK, FORBIDDEN = 0, 6, 200, 202, 210


class Catalog:
    """The catalog's operations, as one who has the cluster's secret."""

    def __init__(self, store):
        self.client = Client(bus_endpoint(store))
        self.secret = store.read("cluster.secret").strip()
        self.stamp = self.client.log_time()

    def read(self, op, **members):
        return self.client.call("catalog", {"op": op, **members})

    def write(self, op, key=None, **members):
        """A write, sent again with the same key while its outcome is unknown."""
        if key is not None:
            members.update(key=key, stamp=self.stamp)
        request = {"op": op, "secret": self.secret, **members}
        for _ in range(20):
            try:
                status, body = self.client.call("catalog.leader", request, 2.0)
            except Unknown:
                continue
            if status == OK or 200 <= status < 300:
                return status, body
        raise AssertionError(f"no outcome of {request}")

    def add(self, item, **fields):
        fields = {"title": f"Item {item}", "price_cents": 100, **fields}
        status, body = self.write("item_add", f"add-{item}", id=item, **fields)
        assert status == OK, body
        return body["item"]

    def item(self, item):
        status, body = self.read("lookup", id=item)
        assert status == OK, body
        return body["item"]


@pytest.fixture(name="catalog")
def catalog_fixture(cluster):
    return Catalog(cluster)


def test_a_write_survives_a_kill_and_is_done_once(cluster, catalog):
    """Stock changes with a kill -9 among them: each is there once, and a repetition after the
    restart is answered as the first was."""
    catalog.add(1, stock=100)
    first = {}
    for number in range(60):
        status, first[number] = catalog.write("stock", f"key-{number}", id=1, change=1)
        assert status == OK
        if number % 20 == 10:
            cluster.kill("catalog-1")
    assert catalog.item(1)["stock"] == 160
    for number in range(60):
        status, again = catalog.write("stock", f"key-{number}", id=1, change=1)
        assert status == OK and again["replayed"] is True
        assert again["item"] == first[number]["item"]
    assert catalog.item(1)["stock"] == 160
    assert_conserved(cluster, {})


def test_a_denial_is_repeated_after_a_restock_and_a_kill(cluster, catalog):
    """Also over a restart, a late duplicate of a denied reserve takes nothing."""
    catalog.add(1, stock=1)
    want = {"lines": [{"id": 1, "quantity": 2}]}
    status, denied = catalog.write("reserve", "r", **want)
    assert status == OUT_OF_STOCK
    assert (denied["error"]["requested"], denied["error"]["available"]) == (2, 1)
    assert catalog.write("stock", "s", id=1, change=10)[0] == OK
    cluster.kill("catalog-1")
    status, again = catalog.write("reserve", "r", **want)
    assert status == OUT_OF_STOCK and again["error"]["replayed"] is True
    for member in ("type", "title", "detail", "id", "requested", "available"):
        assert again["error"][member] == denied["error"][member]
    assert catalog.item(1)["stock"] == 11


def test_an_automatic_rule_acts_by_itself(catalog):
    """The leader's timer finds what is due; the movement says so."""
    catalog.add(1, stock=5)
    rule = {"threshold": 2, "amount": 50, "period_ms": 0}
    assert catalog.write("item_edit", "rule", id=1, restock=rule)[0] == OK
    assert catalog.write("stock", "take", id=1, change=-3)[0] == OK
    wait_until(lambda: catalog.item(1)["stock"] == 52, 10, "the rule acts")
    _, body = catalog.read("movements", id=1)
    assert body["restock"] == rule
    assert [row["change"] for row in body["movements"]] == [-3, 50]
    assert body["movements"][1]["reason"] == "automatic restock"


def test_an_import_is_found_page_by_page(catalog):
    """Four entries of 500 rows; again they change nothing; every item is on exactly one page."""
    def send(name):
        sums = [0, 0, 0]
        for batch in range(4):
            rows = [{"id": 1000 + 500 * batch + i, "title": f"Volume {batch} {i}",
                     "authors": "Ann Author", "topic": f"topic {i % 7}"} for i in range(500)]
            status, body = catalog.write("import", f"{name}-{batch}", rows=rows,
                                         default_price_cents=5, default_stock=6)
            assert status == OK, body
            sums = [a + body[b] for a, b in zip(sums, ("added", "changed", "unchanged"))]
        return sums

    assert send("one") == [2000, 0, 0]
    assert send("two") == [0, 0, 2000]
    seen, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        status, body = catalog.read("search", query="volume", topic="TOPIC 3", limit=100, **more)
        assert status == OK, body
        seen += [item["id"] for item in body["items"]]
        cursor = body["next"]
        if cursor is None:
            break
    assert seen == [1000 + 500 * b + i for b in range(4) for i in range(500) if i % 7 == 3]
    _, body = catalog.read("topics")
    assert sum(row["items"] for row in body["topics"]) == 2000
    _, audit = catalog.read("audit")
    assert (audit["items"], audit["stock"], audit["violations"]) == (2000, 12000, 0)


def test_a_write_needs_the_secret(cluster, catalog):
    """Without it, or with another, nothing is changed."""
    catalog.add(1, stock=1)
    for secret in ({}, {"secret": "wrong"}, {"secret": 5}):
        status, body = catalog.client.call(
            "catalog.leader", {"op": "stock", "key": "k", "stamp": 0, "id": 1, "change": 1, **secret})
        assert status == FORBIDDEN, body
        status, body = catalog.client.call("catalog", {"op": "unsettled", **secret})
        assert status == FORBIDDEN, body
    assert catalog.item(1)["stock"] == 1


def test_a_bad_request_is_told_what_is_wrong(catalog):
    """In a sentence that names the member, and the process goes on."""
    for request, detail in (
            ({"op": "reserve", "lines": [{"id": 1, "quantity": 1}, {"id": 1, "quantity": 0}]},
             "lines[1].quantity must be an integer from 1 to 1000000"),
            ({"op": "stock", "id": 1, "change": 2.0},
             "change must be an integer from -1000000 to 1000000"),
            ({"op": "item_add", "id": 1, "title": "T", "price_cents": 1, "colour": "red"},
             "colour is not a member that is known here")):
        status, body = catalog.write(request.pop("op"), "k", **request)
        assert status == INVALID
        assert body["error"]["type"] == "invalid"
        assert body["error"]["detail"] == detail
        assert "log_time" in body["error"]
    catalog.add(1)


def test_an_import_that_fits_no_entry_is_refused(catalog):
    """By its size in the log, whatever its rows; fewer at once go in."""
    rows = [{"id": i, "title": "t" * 500, "authors": "a" * 400, "price_cents": 1}
            for i in range(1, 301)]
    status, body = catalog.client.call("catalog.leader", {
        "op": "import", "key": "k", "stamp": 0, "secret": catalog.secret, "rows": rows})
    assert status == TOO_LARGE and "send less at once" in body["error"]["detail"]
    status, body = catalog.write("import", "k", rows=rows[:150])
    assert status == OK and body["added"] == 150


def test_log_time_goes_on(catalog):
    """Every answer says it, and it never falls."""
    last = 0
    for answer in (catalog.read("time"), catalog.read("topics"), catalog.read("search"),
                   catalog.read("audit"), catalog.write("settle", keys=["none"])):
        assert answer[0] == OK and answer[1]["log_time"] >= last
        last = answer[1]["log_time"]
