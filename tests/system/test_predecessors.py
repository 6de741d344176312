"""What the five stores before this one got wrong, each held against this one; and what they were
shown to do when a server dies, with a verdict.

Most tests use one store, of two brokers, three catalogs, three orders and two bridges, one after
the other. After each of them it must be whole, have sold what was acknowledged and nothing else,
have every order as it was answered, and all of its replicas must have the same.

SPDX-License-Identifier: Apache-2.0
"""

import os
import random
import signal
import threading
import time
from datetime import datetime, timezone

import pytest

from bus import Client, Unknown
from cluster import Cluster, wait_until
from ledger import BRIDGES, CALL_S, Shop, Visitor
from replicas import (BROKERS, GROUPS, Reader, away, followers_of, kill_for_good, leader_among,
                      leader_of, read_at, replicas_of, rows_of, wait_back, wait_well, workers_of)
from shop import BusBuyer, HttpBuyer, add_item, at_once, bus_endpoint, http_port

SERVERS = [*(f"broker-{i}" for i in BROKERS), *replicas_of("catalog"), *replicas_of("order"),
           *(f"bridge-{i}" for i in BRIDGES)]
ANSWER_S = 12.0  # HTTP_ANSWER_MS: no request waits longer, whatever has died


@pytest.fixture(scope="module", name="shops")
def shops_fixture():
    """The store that the tests share, if there is one that no test has failed in."""
    shops = []
    yield shops
    for shop in shops:
        shop.store.close()


@pytest.fixture(name="shop")
def shop_fixture(request, shops):
    if not shops:
        store = Cluster("--bridges", str(len(BRIDGES)), small=False)
        try:
            wait_well(store.up())
        except BaseException:
            store.dump_logs()
            store.close()
            raise
        shops.append(Shop(store))
    shop = shops[-1]
    yield shop
    try:
        assert not getattr(request.node, "failed_in", None), "see above"
        shop.check()
    except AssertionError:
        shops.remove(shop)
        shop.store.dump_logs()
        shop.store.close()
        raise


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    """Of the test's own: three orders, and one process of each other kind."""
    return make_cluster("--orders", "3")


def soon(call):
    """The result of a call that has no reason to wait for anything."""
    began = time.monotonic()
    result = call()
    assert time.monotonic() - began < CALL_S
    return result


# ---- Answers ------------------------------------------------------------------------------------


def test_a_buy_that_is_impossible_is_refused_at_once(shop):
    """Of an item that is sold out, or that there is none of: 409 and 404. (Clients hung for ever,
    or were told 200.) Others go on buying."""
    empty, full = shop.new_item(1), shop.new_item(10)
    shop.buy(empty)
    for bridge in BRIDGES:
        assert soon(lambda: shop.store.post(f"/buy/{empty}", bridge=bridge)).status == 409
        assert soon(lambda: shop.store.post("/buy/999999", bridge=bridge)).status == 404
        assert soon(lambda: shop.store.get("/lookup/999999", bridge=bridge)).status == 404
        assert soon(lambda: shop.store.get("/orders/999999", bridge=bridge)).status == 404
        shop.buy(full, bridge=bridge)
    assert shop.stock_of(empty) == 0


def test_what_is_no_request_is_told_so(shop):
    """Every request is answered, also what is no number, no JSON, or no page. (There was a 500
    after three seconds, or the connection was closed.)"""
    item = shop.new_item(10)
    for method, path, body, status in (
            ("GET", "/lookup/abc", None, 400), ("POST", "/buy/abc", None, 400),
            ("GET", "/orders/abc", None, 400), ("GET", "/no/such/page", None, 404),
            ("GET", f"/buy/{item}", None, 405), ("POST", f"/buy/{item}", b"{\"quantity\"", 400),
            ("POST", "/orders", b"[", 400)):
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k"} if body else {}
        answer = soon(lambda: shop.store.http(method, path, body, headers))
        assert answer.status == status, (method, path, answer)
        assert answer.json["status"] == status and answer.json["title"]
    assert shop.stock_of(item) == 10


def test_a_quantity_below_one_is_refused(shop):
    """(An order of -5 was accepted, and raised the stock by 5.)"""
    item = shop.new_item(10)
    for quantity in (-5, 0, 1.5, "2", None, True, 10**15):
        for path, body in ((f"/buy/{item}", {"quantity": quantity}),
                           ("/orders", {"lines": [{"id": item, "quantity": quantity}]})):
            answer = shop.store.post(path, body, {"Idempotency-Key": "negative"})
            assert answer.status == 400, answer
    assert shop.store.pygmy("buy", item, "--quantity", "-5").code == 2
    status, body = Client(bus_endpoint(shop.store)).call(
        "order.leader", {"op": "buy", "key": "negative", "stamp": 0,
                         "lines": [{"id": item, "quantity": -5}]})
    assert (status, body["error"]["type"]) == (200, "invalid"), body
    assert shop.stock_of(item) == 10


def test_a_topic_is_a_text(shop):
    """And nothing else: not a piece of SQL (one returned every book), and not an id (the answer to
    a search for 1 was then given to a lookup of 1)."""
    item = shop.new_item(10, topic="texts")
    for topic in ("'%20OR%20'1'='1", "x'%20UNION%20SELECT%20*%20FROM%20items--", "%25", "*", "\"",
                  "'"):
        answer = shop.store.get(f"/search/{topic}")
        assert (answer.status, answer.json["items"]) == (200, []), (topic, answer)
    assert shop.store.get("/search/TEXTS").json["items"][0]["id"] == item
    for path in (f"/search/{item}", f"/lookup/{item}", f"/search/{item}"):
        answer = shop.store.get(path)
        assert answer.status == 200
        assert answer.json == {"items": [], "next": None} if "search" in path \
            else answer.json["id"] == item


def test_orders_can_be_read(shop):
    """Each by its number, at every replica, as it was answered, in numbers that are numbers, and
    with the time it was made. (Orders were kept by one replica, or nowhere; could not be read; came
    as text, nested twice; all had the time of the server's start.)"""
    item = shop.new_item(100, title="An order's book", price_cents=250)
    before = datetime.now(timezone.utc).replace(microsecond=0)
    orders = [shop.buy(item, quantity) for quantity in (1, 2, 3)]
    after = datetime.now(timezone.utc)
    numbers = [order["order_number"] for order in orders]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert [order["lines"][0]["quantity"] for order in orders] == [1, 2, 3]
    assert [order["total_cents"] for order in orders] == [250, 500, 750]
    times = [datetime.fromisoformat(order["created_at"].replace("Z", "+00:00"))
             for order in orders]
    assert before <= times[0] < times[1] < times[2] <= after
    for name in replicas_of("order"):
        for order in orders:
            assert read_at(shop.store, name, "order", number=order["order_number"])[
                "order"] == order
    listed = shop.store.get("/orders?limit=3").json["orders"]
    assert listed == orders[::-1]
    assert shop.store.pygmy("order", numbers[0], "--json").json["order"] == orders[0]


# ---- Many at once -------------------------------------------------------------------------------


@pytest.mark.parametrize("stock, quantity", [(5, 1), (100, 10)])
def test_twenty_buyers_get_what_there_is_and_no_more(shop, stock, quantity):
    """Twenty at the same moment, through both bridges and both brokers: each has an answer, exactly
    the stock is sold, no two orders have one number, and every replica has all of them. (20 of 5
    copies were sold, to a stock of -15; 17 sold and 12 stored; 19 acknowledged and 5 sold; six of
    the clients lost their connection.)"""
    buyers = [HttpBuyer(http_port(shop.store, bridge)) for bridge in BRIDGES for _ in range(5)]
    buyers += [BusBuyer(bus_endpoint(shop.store, broker)) for broker in BROKERS for _ in range(5)]
    for _ in range(3):
        item = shop.new_item(stock)
        results = at_once([
            lambda buyer=buyer, i=i: buyer.buy(item, quantity, f"twenty-{item}-{i}")
            for i, buyer in enumerate(buyers)])
        orders = [body for what, body in results if what == "sold"]
        refused = [body for what, body in results if what == "refused"]
        assert len(orders) == stock // quantity, results
        assert len(orders) + len(refused) == len(buyers), results
        for order in orders:
            shop.note(order)
        assert sorted(order["lines"][0]["stock_left"] for order in orders) == list(
            range(0, stock, quantity))
        for name in replicas_of("catalog"):
            assert read_at(shop.store, name, "lookup", id=item)["item"]["stock"] == 0
        for name in replicas_of("order"):
            sold = {line["id"]: line["quantity"] for line in read_at(shop.store, name, "tally")[
                "sold"]}
            assert sold[item] == stock
    for buyer in buyers:
        buyer.close()


def test_two_customers_each_see_their_own_buys(shop):
    """Ten rounds of lookup, buy, lookup, by two threads on two books each: the stock before and
    after is exact each time. (These were the consistency tests, which left the reading to
    people.)"""
    visitors = [Visitor(shop, bridge) for bridge in BRIDGES]

    def rounds(visitor):
        for _ in range(10):
            visitor.round()

    failures = [None] * len(visitors)

    def run(i):
        try:
            rounds(visitors[i])
        except AssertionError as failure:
            failures[i] = failure
    at_once([lambda i=i: run(i) for i in range(len(visitors))])
    assert failures == [None] * len(visitors)
    for visitor in visitors:
        visitor.leave()


def test_a_read_is_right_whether_it_is_the_first_or_a_repeated_one(shop):
    """Lookups, searches and buys of one book in the order in which a cache was tried out."""
    visitor = Visitor(shop)
    steps = {"l": lambda: visitor.look(visitor.items[1]),
             "b": lambda: visitor.buy(visitor.items[1]), "s": visitor.search}
    for step in "llbllsslbll":
        steps[step]()
    visitor.leave()


def test_a_session_reads_back_what_it_has_ordered(shop):
    """Fifty random lookups, each followed by an order of 1 to 10 with a chance of 0.4, which is
    read back at once; all are read back at the end. (Only status codes were looked at.)"""
    chance = random.Random(3)
    visitor = Visitor(shop)
    for _ in range(50):
        item = chance.choice(visitor.items)
        visitor.look(item)
        if chance.random() < 0.4:
            visitor.buy(item, chance.randint(1, 10))
            visitor.read_back(visitor.orders[-1])
    visitor.leave()


class Watch(threading.Thread):
    """Looks at an item's stock all the time, which only falls: each look must show no more than was
    left by the buys that had been answered when it began."""

    def __init__(self, stock, ceiling, stop):
        super().__init__()
        self.stock, self.ceiling, self.stop = stock, ceiling, stop
        self.looks, self.stale = 0, []

    def run(self):
        while not self.stop.is_set():
            ceiling = self.ceiling[0]
            seen = self.stock()
            self.looks += 1
            if seen > ceiling:
                self.stale.append((seen, ceiling))


def test_no_read_shows_the_stock_before_a_buy_that_was_answered(shop):
    """At two bridges and at two brokers, whoever serves it, also while the leader is killed.
    (Caches were emptied before the write, and a read in between filled them with the old stock.)"""
    item, stop = shop.new_item(1000), threading.Event()
    ceiling = [1000]

    def by_http(bridge):
        buyer = HttpBuyer(http_port(shop.store, bridge))
        return lambda: buyer.call("GET", f"/lookup/{item}")[1]["stock"]

    def by_bus(broker):
        client = Client(bus_endpoint(shop.store, broker))
        return lambda: client.call("catalog", {"op": "lookup", "id": item})[1]["item"]["stock"]

    watches = [Watch(by_http(bridge), ceiling, stop) for bridge in BRIDGES]
    watches += [Watch(by_bus(broker), ceiling, stop) for broker in BROKERS]
    buyer = HttpBuyer(http_port(shop.store))
    for watch in watches:
        watch.start()
    try:
        for number in range(200):
            if number == 100:
                os.kill(shop.store.pid(leader_of(shop.store, "catalog")), signal.SIGKILL)
            what, order = buyer.buy(item, 1, f"watched-{item}-{number}")
            assert what == "sold", order
            ceiling[0] = shop.note(order)["lines"][0]["stock_left"]
        looks = [watch.looks for watch in watches]
        wait_until(lambda: all(watch.looks > count for watch, count in zip(watches, looks)), 20,
                   "each has looked once more")
    finally:
        stop.set()
        for watch in watches:
            watch.join()
    assert [watch.stale for watch in watches] == [[]] * len(watches)


def test_a_change_of_an_item_is_seen_by_every_search(shop):
    """A book that is added, renamed or removed, at every bridge and every replica. (Searches stayed
    in the cache for ever; additions and removals stayed at one replica.)"""
    def found(bridge, words):
        return [row["title"] for row in
                shop.store.get(f"/search?q={words}", bridge=bridge).json["items"]]

    item = shop.new_item(10, title="Abracadabra")
    for old, new in (("Abracadabra", "Hocuspocus"), ("Hocuspocus", "Simsalabim")):
        assert [found(bridge, old) for bridge in BRIDGES] == [[old], [old]]
        version = shop.store.get(f"/lookup/{item}").json["version"]
        answer = shop.store.admin("PATCH", f"/items/{item}", {"title": new},
                                  {"If-Match": f'"{version}"'})
        assert answer.status == 200, answer
        for _ in range(3):  # as many as there are replicas to ask
            assert [found(bridge, old) + found(bridge, new) for bridge in BRIDGES] == [[new], [new]]
        for name in replicas_of("catalog"):
            assert read_at(shop.store, name, "lookup", id=item)["item"]["title"] == new
    assert shop.store.admin("DELETE", f"/items/{item}").status == 204
    assert [found(bridge, "Simsalabim") for bridge in BRIDGES for _ in range(3)] == [[]] * 6


def test_an_automatic_restock_happens_once_and_everywhere(shop):
    """Who has seen it does not see the empty shelf again, whichever replica answers. (Each catalog
    had a timer of its own: one said 0, the other 100.)"""
    item = shop.new_item(3)
    rule = {"restock": {"threshold": 0, "amount": 100, "period_ms": 1000}}
    assert shop.store.admin("PATCH", f"/items/{item}", rule, {"If-Match": "*"}).status == 200
    shop.buy(item, 3)
    wait_until(lambda: shop.stock_of(item) == 100, what="it is in stock again")
    assert {shop.stock_of(item, bridge) for bridge in BRIDGES for _ in range(10)} == {100}
    for name in replicas_of("catalog"):
        shelf = read_at(shop.store, name, "movements", id=item)
        assert (shelf["stock"], len(shelf["movements"])) == (100, 1), shelf


# ---- One of them away ---------------------------------------------------------------------------

VICTIMS = {
    "order crash": [("order", "follower")],
    "order leader crash": [("order", "leader")],
    "backup crash": [("catalog", "follower")],
    "primary crash": [("catalog", "leader")],
    "both kinds": [("catalog", "follower"), ("order", "follower")],
    "both leaders": [("catalog", "leader"), ("order", "leader")],
}


def name_of(store, group, role):
    return leader_of(store, group) if role == "leader" else followers_of(store, group)[0]


def assert_missed(store, names):
    """pygmy status knows nothing of them and says so; no broker has work for them; others lead."""
    for broker in BROKERS:
        wait_until(lambda: not any(workers & set(names) for workers in
                                   workers_of(store, broker).values()),
                   what=f"broker-{broker} has no work for {names}")
    status = store.pygmy("status", "--json")
    assert (status.code, status.json["verdict"]) == (1, "degraded"), status
    rows = {row["name"]: row for row in status.json["processes"]}
    for name, row in rows.items():
        if name in names:
            assert (row["state"], row["role"], row["pid"]) == ("unknown", None, None), row
        else:
            assert row["state"] == "up", row
    for group in GROUPS:
        assert leader_among(rows, group), rows


@pytest.mark.parametrize("scenario", VICTIMS)
def test_a_replica_that_is_killed_amid_buys_catches_up(shop, scenario):
    """Crash and recovery of an order server, a backup and a primary, and of one of each kind at
    once, while customers buy: none has an error, the dead are gone from the status and from the
    ready queues, and each of them has all that it missed when it is back, also what was sold while
    it was on its way. (One buy in the gap got 500; orders were lost with their leader; the one that
    came back learned nothing, or the stock alone; what was written between its two steps of joining
    it never got; the whole store hung.)"""
    store = shop.store
    victims = [name_of(store, *victim) for victim in VICTIMS[scenario]]
    with shop.customers() as customers:
        kill_for_good(store, *victims)
        customers.go_on()
        assert_missed(store, victims)
        customers.go_on()
        for name in victims:
            store.start(name)
        customers.go_on()
        for name in victims:
            wait_back(store, name)
        customers.go_on()
    shop.note_all(customers)
    last = max(shop.orders)
    for name in victims:
        if name.startswith("order"):
            assert read_at(store, name, "order", number=last)["order"] == shop.orders[last]
        else:
            left = 10**6 - shop.sold[customers.item]
            assert read_at(store, name, "lookup", id=customers.item)["item"]["stock"] == left


@pytest.mark.parametrize("group", GROUPS)
def test_the_buys_that_meet_a_death_are_made(shop, group):
    """Twenty that are sent right after the kill, before anybody can have noticed it, and twenty at
    the same time as it. (Such a write left a lock behind, and the store hung from then on; or it
    got 500.)"""
    item = shop.new_item(1000)
    buyers = [HttpBuyer(http_port(shop.store, bridge)) for bridge in BRIDGES for _ in range(10)]
    for turn in ("after", "at once"):
        victim = shop.store.pid(leader_of(shop.store, group))
        calls = [lambda buyer=buyer, i=i: buyer.buy(item, 1, f"death-{item}-{turn[:2]}-{i}")
                 for i, buyer in enumerate(buyers)]
        if turn == "after":
            os.kill(victim, signal.SIGKILL)
        else:
            calls.append(lambda: os.kill(victim, signal.SIGKILL))
        for what, order in at_once(calls)[:len(buyers)]:
            assert what == "sold", order
            shop.note(order)
        wait_well(shop.store)
    soon(lambda: shop.buy(item))


def test_orders_and_their_numbers_outlive_the_leader(store):
    """The first order reaches a replica that was down when it was made; what the leader has
    acknowledged is there when the leader is dead; and its number is not given again, not even when
    all of them were killed. (Order 0 never reached an empty replica; a read of it failed when its
    leader was killed, and the next order had number 0 again.)"""
    add_item(store, 1, title="A book", price_cents=100, stock=100)
    wait_until(lambda: store.pygmy("status").code == 0, what="healthy")
    orders = []

    def buy():
        answer = store.post("/buy/1")
        assert answer.status == 201, answer
        orders.append(answer.json)
        assert answer.json["order_number"] == len(orders)

    empty = followers_of(store, "order")[0]
    store.stop(empty)
    buy()
    store.start(empty)
    assert read_at(store, empty, "order", number=1)["order"] == orders[0]
    for victims in ([leader_of(store, "order")], replicas_of("order")):
        for pid in [store.pid(name) for name in victims]:
            os.kill(pid, signal.SIGKILL)
        buy()
        for order in orders:
            assert store.get(f"/orders/{order['order_number']}").json == order
    assert store.get("/lookup/1").json["stock"] == 100 - len(orders)


def test_one_that_has_recovered_can_teach_another(shop):
    """A replica that was down, came back, and was started once more since is the only one that
    another, down while more was sold and changed, can learn from: it learns all of it. (The first
    thought that nothing had happened, as it had written nothing itself; so the second believed that
    it was up to date. Of items only the stock was learned.)"""
    store, item, removed = shop.store, shop.new_item(100, title="Before"), shop.new_item(1)
    leaders = [leader_of(store, group) for group in GROUPS]
    firsts, seconds = zip(*(followers_of(store, group) for group in GROUPS))
    with away(store, *firsts):
        shop.buy(item)
    for name in seconds:
        store.stop(name)
    shop.buy(item, 2)
    change = {"title": "After", "price_cents": 777}
    assert store.admin("PATCH", f"/items/{item}", change, {"If-Match": "*"}).status == 200
    assert store.admin("DELETE", f"/items/{removed}").status == 204
    added = shop.new_item(5, title="Added")
    for name in firsts:
        store.restart(name)
    for name in firsts:
        wait_back(store, name)
    for name in leaders:
        store.stop(name)
    for name in seconds:
        store.start(name)
    last = shop.buy(item, 3)["order_number"]
    for number in range(last - 2, last + 1):
        assert read_at(store, seconds[1], "order", number=number)["order"] == shop.orders[number]
    book = read_at(store, seconds[0], "lookup", id=item)["item"]
    assert (book["title"], book["price_cents"], book["stock"]) == ("After", 777, 94)
    ids = [row["id"] for row in read_at(store, seconds[0], "items", limit=500)["items"]]
    assert added in ids and removed not in ids
    for name in leaders:
        store.start(name)


@pytest.mark.alone
@pytest.mark.bare
def test_leadership_stays_when_one_comes_back(shop):
    """Whoever leads goes on doing so, whatever the number of the one that returns. (The highest
    number took over whenever it came back.)"""
    for group in GROUPS:
        leader = leader_of(shop.store, group)
        term = rows_of(shop.store)[leader]["term"]
        for name in followers_of(shop.store, group):
            with away(shop.store, name):
                pass
        row = rows_of(shop.store)[leader]
        assert (row["role"], row["term"]) == ("leader", term), row


def test_every_item_is_bought_whichever_catalog_is_away(shop):
    """Seven items, odd and even, with each catalog down in turn. (Buys of an odd item waited for
    its primary to come back.)"""
    items = [shop.new_item(100) for _ in range(7)]
    for name in replicas_of("catalog"):
        with away(shop.store, name):
            for item in items:
                soon(lambda: shop.buy(item, bridge=1 + item % 2))


def test_a_catalog_an_order_and_a_broker_of_any_numbers_may_be_away(shop):
    """(An order server was of use only when the catalog of the same number was up.)"""
    visitors = [Visitor(shop, bridge) for bridge in BRIDGES]
    for names in (("catalog-1", "order-2", "broker-1"), ("order-3", "catalog-2", "broker-2")):
        with away(shop.store, *names):
            for visitor in visitors:
                visitor.round()
    for visitor in visitors:
        visitor.leave()


def test_lookups_searches_and_buys_go_on_while_each_server_is_shut_down_in_turn(shop):
    """Every one of them, bridges and brokers too. (The fault tolerance test: requests went on,
    their times were written down, and nobody looked at the answers.)"""
    visitors = dict(zip(BRIDGES, (Visitor(shop, bridge) for bridge in BRIDGES)))
    for name in SERVERS:
        with away(shop.store, name):
            for bridge, visitor in visitors.items():
                if name == f"bridge-{bridge}":
                    visitor.hang_up()
                else:
                    visitor.round()
    for visitor in visitors.values():
        visitor.leave()


@pytest.mark.parametrize("group, op", [("catalog", "lookup"), ("order", "order")])
def test_reads_are_spread_over_all_that_live(shop, group, op):
    """Each replica has its share, and the others have that of one that is away. (Round robin, and
    the fall-back to the other one.) What a bridge has in its memory, no replica is asked for."""
    item = shop.new_item(10)
    number = shop.buy(item)["order_number"]
    path = f"/lookup/{item}" if group == "catalog" else f"/orders/{number}"

    def served():
        return {name: count_of(shop.store, name, op) for name in replicas_of(group)
                if name in workers_of(shop.store, 1).get(group, ())}

    def spread():
        before = served()
        for _ in range(30):
            assert shop.store.admin("DELETE", "/cache").status == 204
            assert shop.store.get(path).status == 200
        return {name: count - before[name] for name, count in served().items()}

    shares = spread()
    assert len(shares) == 3 and min(shares.values()) >= 5, shares
    with away(shop.store, followers_of(shop.store, group)[0]):
        shares = spread()
        assert len(shares) == 2 and min(shares.values()) >= 5 and sum(shares.values()) == 30, shares


def count_of(store, name, op):
    reader = Reader(store, name)
    try:
        return reader.count(op)
    finally:
        reader.close()


# ---- All of them away ---------------------------------------------------------------------------


def test_no_request_hangs_while_all_are_down_and_all_is_well_after(shop):
    """All orders, then all catalogs too: reads of the kind that lives go on; each other request has
    its answer within the bridge's deadline; when they are back, all is well without any further
    doing, and a buy whose outcome was unknown is known by its key. (It was never answered, and the
    store hung even when both were back.)"""
    store, item = shop.store, shop.new_item(10)
    unseen = shop.new_item(10)  # the other one a bridge may still know, for the rest of its lease
    number = shop.buy(item)["order_number"]
    for name in replicas_of("order"):
        store.stop(name)
    assert soon(lambda: shop.stock_of(item)) == 9
    for name in replicas_of("catalog"):
        store.stop(name)
    buyer = HttpBuyer(http_port(store, 2))
    began = time.monotonic()
    answers = at_once([
        lambda: store.get(f"/lookup/{unseen}").status,
        lambda: store.get(f"/orders/{number}").status,
        lambda: store.post(f"/buy/{item}", {}, {"Idempotency-Key": "all-down"}).status,
        lambda: buyer.buy(item, 1, "all-down-too")[1]["status"],
        lambda: store.pygmy("buy", item, "--timeout", "2").code,
    ])
    assert time.monotonic() - began < ANSWER_S + CALL_S
    assert set(answers[:4]) <= {503, 504} and answers[4] == 3, answers
    assert store.pygmy("status").code == 3
    for name in [*replicas_of("catalog"), *replicas_of("order")]:
        store.start(name)
    wait_well(store)
    for key in ("all-down", "all-down-too"):
        what, order = buyer.buy(item, 1, key)
        assert what == "sold", order
        shop.note(order)
    assert shop.stock_of(item) == 10 - shop.sold[item]


class Insistent(threading.Thread):
    """Buys one thing after the other, and asks with the same key until it knows."""

    def __init__(self, shop, item, bridge, stop):
        super().__init__(name=f"insistent-{item}-{bridge}")
        self.buyer = HttpBuyer(http_port(shop.store, bridge))
        self.item, self.stop = item, stop
        self.orders, self.refused = [], []

    def run(self):
        while not self.stop.is_set():
            what = "unknown"
            while what == "unknown":
                what, body = self.buyer.buy(self.item, 1, f"{self.name}-{len(self.orders)}")
                if what == "unknown":
                    self.stop.wait(0.02)  # a dead bridge refuses at once
            (self.orders if what == "sold" else self.refused).append(body)


def test_nothing_is_forgotten_by_the_death_of_all_or_by_a_restart(shop):
    """kill -9 of every process at one moment amid buys, then an orderly restart: stock and orders
    are what was acknowledged, and the numbers go on. (Every sale was forgotten when all catalogs
    were stopped; each server made its tables anew at its start.)"""
    item, stop = shop.new_item(10**6), threading.Event()
    buyers = [Insistent(shop, item, bridge, stop) for bridge in BRIDGES]

    def go_on():
        before = [len(buyer.orders) for buyer in buyers]
        wait_until(lambda: all(len(buyer.orders) >= count + 5
                               for buyer, count in zip(buyers, before)), 30, "both go on")

    for buyer in buyers:
        buyer.start()
    try:
        go_on()
        for pid in shop.store.pids().values():
            os.kill(pid, signal.SIGKILL)
        go_on()
    finally:
        stop.set()
        for buyer in buyers:
            buyer.join()
    assert [buyer.refused for buyer in buyers] == [[], []]
    for buyer in buyers:
        for order in buyer.orders:
            shop.note(order)
    shop.store.down()
    shop.store.up()
    shop.recheck()
    last = max(shop.orders)
    assert shop.buy(item)["order_number"] == last + 1
    assert shop.stock_of(item) == 10**6 - shop.sold[item]


def test_a_front_end_that_was_restarted_takes_no_new_purchase_for_an_old_one(shop):
    """Two buys before and two after the death of the bridge, none of which names a key: four
    orders. So with the command line, each call of which is a new client. (Requests were counted
    from 1 at each start of the front end, so new purchases were taken for repeated ones.)"""
    item, keys = shop.new_item(100), set()
    for _ in range(2):
        for _ in range(2):
            answer = shop.store.post(f"/buy/{item}")
            assert answer.status == 201 and "Idempotency-Replayed" not in answer.headers
            shop.note(answer.json)
            keys.add(answer.headers["Idempotency-Key"])
        pid = shop.store.pid("bridge-1")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: shop.store.pid("bridge-1") not in (None, pid), what="a new bridge")
        wait_until(lambda: is_ready(shop.store), what="the bridge is ready")
    assert len(keys) == 4
    for _ in range(2):
        shop.note(shop.store.pygmy("buy", item, "--json").json["order"])
    assert shop.stock_of(item) == 94


def is_ready(store):
    try:
        return HttpBuyer(http_port(store)).call("GET", "/readyz")[0] == 200
    except Unknown:
        return False
