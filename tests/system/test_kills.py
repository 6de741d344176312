"""kill -9 of every kind of process while customers buy.

PYGMY_KILLS says how often each process is killed (default 1).

SPDX-License-Identifier: Apache-2.0
"""

import os
import threading
import time
from collections import Counter

import pytest
from cluster import wait_until
from shop import BusBuyer, HttpBuyer, add_item, assert_conserved, bus_endpoint, http_port

KILLS = int(os.environ.get("PYGMY_KILLS", "1"))
ITEMS = [1, 2, 3]
STOCK = 100000
CALL_SECONDS = 5.0
# A call ends by its deadline; what is above it is the machine's noise and the client's own work.
CALL_SECONDS_MAX = CALL_SECONDS + 3.0
PROGRESS = 50


class Customer(threading.Thread):
    """Buys one thing after the other. An unknown outcome is asked for again, with the same key,
    until it is known: that is the promise under test."""

    def __init__(self, name, make_buyer, stop):
        super().__init__()
        self.name, self.make_buyer, self.stop_event = name, make_buyer, stop
        self.sold, self.refused = {}, {}
        self.unknown = self.attempts = 0
        self.slowest = 0.0

    def run(self):
        buyer = self.make_buyer()
        for number in range(10**9):
            if self.stop_event.is_set():
                break
            key = f"{self.name}-{number}"
            self.buy(buyer, key, ITEMS[number % len(ITEMS)], 1 + number % 3)
        buyer.close()

    def buy(self, buyer, key, item, quantity):
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            began = time.monotonic()
            what, body = buyer.buy(item, quantity, key, CALL_SECONDS)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.attempts += 1
            if what == "sold":
                self.sold[key] = (item, quantity, body)
                return
            if what == "refused":
                self.refused[key] = body
                return
            self.unknown += 1
            # A dead process refuses at once: don't turn the wait for it into a busy loop.
            self.stop_event.wait(0.02)
        raise AssertionError(f"{key}: unknown for a minute")


@pytest.mark.limit_s(120 + 60 * KILLS)
def test_every_process_may_be_killed_under_load(cluster):
    """After kill -9 of broker, catalog, order and bridge: each comes back, no call hangs, each
    acknowledged order is there as it was acknowledged, no key has two, conservation holds."""
    for item in ITEMS:
        add_item(cluster, item, title=f"Book {item}", price_cents=100 * item, stock=STOCK)
    stop = threading.Event()
    customers = [Customer(f"http-{i}", lambda: HttpBuyer(http_port(cluster)), stop)
                 for i in range(4)]
    customers += [Customer(f"bus-{i}", lambda: BusBuyer(bus_endpoint(cluster)), stop)
                  for i in range(2)]
    for customer in customers:
        customer.start()
    try:
        for name in ["broker-1", "catalog-1", "order-1", "bridge-1"] * KILLS:
            go_on(customers)
            pid = cluster.pid(name)
            cluster.kill(name)
            wait_until(lambda: cluster.pid(name) not in (None, pid), 5,
                       f"{name} has a new process")
        go_on(customers)
    finally:
        stop.set()
        for customer in customers:
            customer.join()

    sold = {key: sale for customer in customers for key, sale in customer.sold.items()}
    attempts = sum(customer.attempts for customer in customers)
    unknown = sum(customer.unknown for customer in customers)
    slowest = max(customer.slowest for customer in customers)
    print(f"{len(sold)} sold, {unknown} of {attempts} attempts unknown, slowest {slowest:.2f} s")
    assert not any(customer.refused for customer in customers)
    assert slowest < CALL_SECONDS_MAX
    check_orders(cluster, sold)


def go_on(customers):
    """Wait until every customer has bought something more: nobody hangs, everything is back."""
    before = [len(customer.sold) for customer in customers]
    wait_until(lambda: all(len(customer.sold) >= count + PROGRESS // len(customers)
                           for customer, count in zip(customers, before)), 60,
               "every customer has bought more")


def check_orders(cluster, sold):
    """The orders of the store are the ones that were acknowledged: all, as they were, and no
    other."""
    numbers = [order["order_number"] for _, _, order in sold.values()]
    assert len(set(numbers)) == len(numbers)
    reader = HttpBuyer(http_port(cluster))
    asker = BusBuyer(bus_endpoint(cluster)).client
    for key, (item, quantity, order) in sold.items():
        status, body, _ = reader.call("GET", f"/orders/{order['order_number']}")
        assert status == 200 and body == order, (key, body, order)
        status, body = asker.call("order", {"op": "order", "key": key})
        assert status == 0 and body["order"]["order_number"] == order["order_number"]
        assert [(line["id"], line["quantity"]) for line in order["lines"]] == [(item, quantity)]
    status, tally = asker.call("order", {"op": "tally"})
    assert status == 0
    assert (tally["orders"], tally["last_number"]) == (len(sold), len(sold))
    total = Counter()
    for item, quantity, _ in sold.values():
        total[item] += quantity
    assert_conserved(cluster, dict(total))
