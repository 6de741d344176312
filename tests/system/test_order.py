"""The order service as a process: over the bus, through kills, against a catalog that goes away.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from bus import Client, Unknown
from cluster import wait_until
from replicas import Reader, leader_row, replicas_of
from shop import assert_conserved, at_once, bus_endpoint

OK, WORKER_LOST, TIMEOUT, INVALID, NOT_FOUND, OUT_OF_STOCK = 0, 4, 9, 200, 201, 202
KEY_REUSED, KEY_MISSING, WRONG_STATE = 203, 204, 206
HOUR_MS = 3600 * 1000
LATE_S = 10.0


class Store:
    """The operations of the order service, and those of the catalog that a test needs."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.client = Client(bus_endpoint(cluster))
        self.secret = cluster.read("cluster.secret").strip()
        self.stamp = self.client.log_time()

    def read(self, op, **members):
        """The broker gives a process up that does not get to run for half a second, and what it was
        asked is unknown when that happens three times: a read is then asked once more."""
        def attempt():
            answer = self.client.call("order", {"op": op, **members})
            return answer if answer[0] != WORKER_LOST else None
        return wait_until(attempt, 60, f"an answer to {op} {members}")

    def write(self, op, timeout=10.0, **members):
        """One attempt, with the store's stamp unless it is given. Whoever works on it has @timeout,
        and an answer of that very moment needs some time more to get here."""
        request = {"op": op, "stamp": self.stamp, **members}
        correlation, deadline = self.client.send("order.leader", request, timeout)
        return self.client.receive((correlation, deadline + LATE_S))

    def insist(self, op, **members):
        """Attempts with one key until there is an outcome."""
        def attempt():
            try:
                status, body = self.write(op, timeout=2.0, **members)
            except Unknown:
                return None
            return (status, body) if status == OK or 200 <= status < 300 else None
        return wait_until(attempt, 60, f"an outcome of {op} {members}")

    def buy(self, key, *lines, **members):
        return self.insist("buy", key=key, lines=lines_of(lines), **members)

    def cancel(self, key, number, **members):
        return self.insist("cancel", key=key, number=number, **members)

    def catalog(self, op, **members):
        request = {"op": op, "secret": self.secret, "stamp": self.stamp, **members}
        return self.client.call("catalog.leader", request)

    def add(self, item, stock=100, **fields):
        fields = {"title": f"Item {item}", "price_cents": 100 * item, "stock": stock, **fields}
        status, body = self.catalog("item_add", key=f"add-{item}", id=item, **fields)
        assert status == OK, body

    def stock(self, item):
        status, body = self.client.call("catalog", {"op": "lookup", "id": item})
        assert status == OK, body
        return body["item"]["stock"]

    def order(self, **which):
        status, body = self.read("order", **which)
        return body["order"] if status == OK else None


def lines_of(pairs):
    return [{"id": item, "quantity": quantity} for item, quantity in pairs]


@pytest.fixture(name="store")
def store_fixture(cluster):
    store = Store(cluster)
    store.add(1)
    store.add(2)
    return store


def test_an_order_has_its_shape_and_is_found(store):
    """Lines in sums for each item, by id, with what was paid and left; by number and by key."""
    status, body = store.buy("k", (2, 1), (1, 3), (2, 1))
    assert status == OK
    assert set(body) == {"order", "replayed", "log_time"} and body["replayed"] is False
    assert body["log_time"] >= store.stamp
    order = body["order"]
    version = order["lines"][0]["version"]
    assert order["created_at"].endswith("Z") and order.pop("created_at")
    assert order == {
        "order_number": 1, "state": "active", "total_cents": 700, "currency": "USD",
        "cancelled_at": None,
        "lines": [
            {"id": 1, "title": "Item 1", "quantity": 3, "price_cents": 100, "stock_left": 97,
             "version": version},
            {"id": 2, "title": "Item 2", "quantity": 2, "price_cents": 200, "stock_left": 98,
             "version": version},
        ],
    }
    for which in ({"number": 1}, {"key": "k"}):
        assert store.order(**which)["order_number"] == 1
    assert store.read("order", number=2)[0] == NOT_FOUND
    assert store.read("order", key="other")[0] == NOT_FOUND


def test_a_repetition_is_answered_as_the_first_was(store):
    """Also in another order of lines, after the stock has changed, after a kill, after a cancel."""
    _, first = store.buy("k", (1, 2), (2, 1))
    assert store.buy("x", (1, 5))[0] == OK
    for disturb in (lambda: None, lambda: store.cluster.kill("order-1"),
                    lambda: store.cancel("c", 1)):
        disturb()
        status, again = store.buy("k", (2, 1), (1, 1), (1, 1))
        assert status == OK and again["replayed"] is True
        assert again["order"] == first["order"]
    assert store.order(number=1)["state"] == "cancelled"


def test_a_denial_is_the_catalogs_and_is_repeated(store):
    """With what was asked and what there is; the same after a restock, for a denial is final."""
    for restock in (0, 1000):
        if restock:
            assert store.catalog("stock", key="restock", id=1, change=restock)[0] == OK
        status, body = store.buy("k", (1, 101))
        error = body["error"]
        assert status == OUT_OF_STOCK and error["type"] == "out-of-stock"
        assert (error["id"], error["requested"], error["available"]) == (1, 101, 100)
    status, body = store.buy("absent", (3, 1))
    assert status == NOT_FOUND and body["error"]["id"] == 3
    assert_conserved(store.cluster, {})


def test_a_key_belongs_to_one_operation(store):
    """Other lines, a cancel by a buy's key, a buy by a cancel's, another order's cancel: refused."""
    store.buy("one", (1, 1))
    store.buy("two", (1, 1))
    assert store.buy("one", (1, 2))[0] == KEY_REUSED
    assert store.cancel("two", 1)[0] == KEY_REUSED
    assert store.cancel("c", 1)[0] == OK
    assert store.cancel("c", 2)[0] == KEY_REUSED
    assert store.buy("c", (1, 1))[0] == KEY_REUSED
    assert_conserved(store.cluster, {1: 1})


def test_a_cancel_gives_the_stock_back_once(store):
    """The same key repeats the answer, also after a kill; another is told that it was done."""
    store.buy("k", (1, 4))
    assert store.stock(1) == 96
    status, first = store.cancel("c", 1)
    assert status == OK and first["replayed"] is False
    assert first["order"]["state"] == "cancelled" and first["order"]["cancelled_at"]
    store.cluster.kill("order-1")
    status, again = store.cancel("c", 1)
    assert status == OK and again["replayed"] is True and again["order"] == first["order"]
    assert store.cancel("other", 1)[0] == WRONG_STATE
    assert store.cancel("c9", 9)[0] == NOT_FOUND
    assert store.stock(1) == 100
    assert_conserved(store.cluster, {})


BAD = [
    ("buy", {"lines": [{"id": 1, "quantity": 1}]}, KEY_MISSING, "key"),
    ("buy", {"key": "a b", "lines": [{"id": 1, "quantity": 1}]}, INVALID, "key"),
    ("buy", {"key": "k" * 256, "lines": [{"id": 1, "quantity": 1}]}, INVALID, "key"),
    ("buy", {"key": "k"}, INVALID, "lines"),
    ("buy", {"key": "k", "lines": []}, INVALID, "lines"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 1}] * 101}, INVALID, "lines"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 0}]}, INVALID, "quantity"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": -1}]}, INVALID, "quantity"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 1.0}]}, INVALID, "quantity"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 1000001}]}, INVALID, "quantity"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": "1"}]}, INVALID, "quantity"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 1000000}] * 2}, INVALID, "sum"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 1}], "price": 1}, INVALID, "price"),
    ("buy", {"key": "k", "lines": [{"id": 1, "quantity": 1}], "stamp": -1}, INVALID, "stamp"),
    ("cancel", {"key": "k", "number": 0}, INVALID, "number"),
    ("cancel", {"key": "k", "number": "1"}, INVALID, "number"),
    ("cancel", {"number": 1}, KEY_MISSING, "key"),
]
BAD_READS = [
    ("order", {}, "number"),
    ("order", {"number": 1, "key": "k"}, "number"),
    ("orders", {"limit": 0}, "limit"),
    ("orders", {"limit": 501}, "limit"),
    ("orders", {"cursor": "x"}, "cursor"),
    ("tally", {"limit": 1}, "limit"),
]


def test_bad_requests_are_refused_by_name(store):
    """Each says what was wrong and where, and leaves nothing behind."""
    for op, members, code, part in BAD:
        status, body = store.write(op, **members)
        assert status == code and part in body["error"]["detail"], (op, members, body)
    for op, members, part in BAD_READS:
        status, body = store.read(op, **members)
        assert status == INVALID and part in body["error"]["detail"], (op, members, body)
    assert_conserved(store.cluster, {})
    assert store.read("orders")[1] == {"orders": [], "next": None}


def test_a_stamp_that_was_made_up_is_refused(store):
    """Two hours ahead of the catalog's log time: a buy by the catalog, a cancel before it begins."""
    ahead = store.client.log_time() + 2 * HOUR_MS
    assert store.buy("k", (1, 1), stamp=ahead)[0] == INVALID
    assert store.buy("k", (1, 1))[0] == OK
    assert store.cancel("c", 1, stamp=ahead)[0] == INVALID
    assert store.order(number=1)["state"] == "active"


def test_lists_go_in_pages(store):
    """Newest first, each once, whatever is bought meanwhile."""
    for number in range(1, 8):
        store.buy(f"k{number}", (1, 1))
    numbers, cursor = [], None
    while True:
        members = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        _, page = store.read("orders", **members)
        numbers += [order["order_number"] for order in page["orders"]]
        store.buy(f"more{len(numbers)}", (1, 1))
        cursor = page["next"]
        if cursor is None:
            break
    assert numbers == [7, 6, 5, 4, 3, 2, 1]


def test_many_repetitions_at_once_make_one_order(store):
    """Twenty clients with one key: one order, one answer but for who was first."""
    clients = [Store(store.cluster) for _ in range(20)]
    answers = at_once([lambda one=one: one.buy("k", (1, 2)) for one in clients])
    assert all(status == OK for status, _ in answers)
    assert all(body["order"] == answers[0][1]["order"] for _, body in answers)
    assert sum(not body["replayed"] for _, body in answers) == 1
    assert_conserved(store.cluster, {1: 2})


def test_a_grant_without_an_order_is_ordered_by_the_scan(store):
    """As if a leader had died between RESERVE and ORDER: nobody asks, and the order is made."""
    status, _ = store.catalog("reserve", key="lost", lines=lines_of([(1, 3)]))
    assert status == OK
    order = wait_until(lambda: store.order(key="lost"), 10)
    assert order["lines"][0]["quantity"] == 3 and order["lines"][0]["stock_left"] == 97
    status, body = store.buy("lost", (1, 3))
    assert status == OK and body["replayed"] is True and body["order"] == order
    assert_conserved(store.cluster, {1: 3})
    wait_until(lambda: not unsettled(store)["grants"], 10)


def test_the_scan_asks_the_one_for_whom_time_goes_on(make_cluster):
    """While nobody writes, a grant grows older at the catalog's leader only: for the others the
    time is that of the last entry. Whoever asked each in turn found it late, by luck."""
    store = Store(make_cluster("--catalogs", "3"))
    store.add(1)
    readers = {name: Reader(store.cluster, name) for name in replicas_of("catalog")}

    def asked():
        return {name: reader.count("unsettled") for name, reader in readers.items()}

    def asked_meanwhile():
        """Who was, while one leader led; None if it did not."""
        led, before = leader_row(store.cluster, "catalog"), asked()
        wait_until(lambda: sum(asked().values()) >= sum(before.values()) + 3, what="it is asked")
        names = [name for name, count in asked().items() if count > before[name]]
        leads = leader_row(store.cluster, "catalog")
        return (names, led["name"]) if led["term"] == leads["term"] else None

    names, leader = wait_until(asked_meanwhile, 30, "nobody else takes the lead")
    assert names == [leader]
    status, _ = store.catalog("reserve", key="lost", lines=lines_of([(1, 3)]))
    assert status == OK
    wait_until(lambda: store.order(key="lost"))
    for reader in readers.values():
        reader.close()


def unsettled(store):
    status, body = store.client.call("catalog", {"op": "unsettled", "older_ms": 0,
                                                 "secret": store.secret})
    assert status == OK, body
    return body


def test_a_cancel_that_was_cut_off_is_finished(store):
    """The catalog is away: the outcome is unknown, in time. With the order's leader killed as well
    the next one finishes it, asked or not, and closes the release."""
    store.buy("k", (1, 5))
    store.cluster.stop("catalog-1")
    status, _ = store.write("cancel", timeout=1.5, key="c", number=1)
    assert status == TIMEOUT
    assert store.order(number=1)["state"] == "cancelling"
    store.cluster.kill("order-1")
    store.cluster.start("catalog-1")
    wait_until(lambda: (store.order(number=1) or {}).get("state") == "cancelled", 15)
    status, body = store.cancel("c", 1)
    assert status == OK and body["replayed"] is True
    wait_until(lambda: not unsettled(store)["releases"], 10)
    assert store.stock(1) == 100
    assert_conserved(store.cluster, {})


def test_a_buy_without_a_catalog_is_answered_in_time(store):
    """Not "denied", and not never: unknown or not attempted; and the same key goes on later."""
    store.cluster.stop("catalog-1")
    status, body = store.write("buy", timeout=1.5, key="k", lines=lines_of([(1, 1)]))
    assert not 200 <= status < 300 and status != OK, body
    store.cluster.start("catalog-1")
    status, body = store.buy("k", (1, 1))
    assert status == OK and body["order"]["order_number"] == 1
    assert_conserved(store.cluster, {1: 1})


def test_kills_under_load_lose_and_double_nothing(store):
    """Buyers who repeat with their key until they know, some cancelling, while the order service
    and the catalog are killed: each acknowledged order and cancel is there, once."""
    kept = {}

    def customer(number):
        one = Store(store.cluster)
        for turn in range(25):
            key = f"{number}-{turn}"
            status, body = one.buy(key, (1, 1))
            assert status == OK, body
            order = body["order"]["order_number"]
            if turn % 5 == 4:
                status, body = one.cancel(f"c{key}", order)
                assert status == OK, body
            else:
                kept[key] = order

    def nemesis():
        for name in ("order-1", "catalog-1", "order-1"):
            count = len(kept)
            wait_until(lambda count=count: len(kept) >= count + 10 or len(kept) >= 78, 60)
            store.cluster.kill(name)

    assert store.catalog("stock", key="more", id=1, change=1000)[0] == OK
    at_once([lambda number=number: customer(number) for number in range(4)] + [nemesis])
    assert len(kept) == 80 and len(set(kept.values())) == 80
    for key, number in kept.items():
        order = store.order(key=key)
        assert order["order_number"] == number and order["state"] == "active"
    assert store.read("tally")[1]["last_number"] == 100
    wait_until(lambda: not unsettled(store)["grants"] and not unsettled(store)["releases"], 15)
    assert_conserved(store.cluster, {1: 80})


def test_status_and_metrics_tell_what_happened(store):
    """Counts by result, from 0 on, and the numbers of the saga."""
    store.buy("k", (1, 1))
    store.buy("k", (1, 1))
    store.buy("none", (2, 101))
    store.cancel("c", 1)
    status, body = store.client.call("node.order-1", {"op": "status"})
    assert status == OK
    assert body["last_order_number"] == 1 and body["active_orders"] == 0 and body["flows"] == 0
    _, body = store.client.call("node.order-1", {"op": "metrics"})
    for line in ('pygmy_orders_total{result="made"} 1', 'pygmy_orders_total{result="replayed"} 1',
                 'pygmy_orders_total{result="out-of-stock"} 1',
                 'pygmy_orders_total{result="unknown"} 0', 'pygmy_cancels_total{result="made"} 1'):
        assert line in body["text"], line


def test_a_tally_goes_in_pages(store):
    """10,000 items on the first, and the rest on the next; each once."""
    first, count = 100, 10050
    for start in range(first, first + count, 500):
        ids = range(start, min(start + 500, first + count))
        rows = [{"id": item, "title": "T"} for item in ids]
        status, body = store.catalog("import", key=f"import-{start}", rows=rows,
                                     default_price_cents=1, default_stock=5)
        assert status == OK, body
    for start in range(first, first + count, 100):
        items = range(start, min(start + 100, first + count))
        assert store.buy(f"k{start}", *((item, 1) for item in items))[0] == OK
    pages, cursor = [], {}
    while cursor is not None:
        status, body = store.read("tally", **cursor)
        assert status == OK
        pages.append([line["id"] for line in body["sold"]])
        cursor = {"cursor": body["next"]} if body["next"] else None
    assert [len(page) for page in pages] == [10000, 50]
    assert sum(pages, []) == list(range(first, first + count))
