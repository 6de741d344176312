"""Customers who put up with nothing: each request of theirs must succeed, whatever dies meanwhile.

    with Customers(store) as customers:
        store.kill("order-1")
        customers.go_on()
        assert customers.slowest_s(killed_at) < 1

SPDX-License-Identifier: Apache-2.0
"""

import threading
import time
from collections import Counter

from cluster import wait_until
from shop import HttpBuyer, add_item, assert_conserved, http_port

ITEM = 1


class Customer(threading.Thread):
    """Buys or reads over HTTP without a pause; each request is one of its own, and none is sent
    again: what the bridge can't hide, it sees."""

    def __init__(self, store, item, name, buys, stop):
        super().__init__()
        self.store, self.item, self.name, self.buys, self.stop = store, item, name, buys, stop
        self.calls = []  # when it began, how long it took, the status
        self.orders = []

    def run(self):
        buyer = HttpBuyer(http_port(self.store))
        while not self.stop.is_set():
            began = time.monotonic()
            if self.buys:
                status, body, _ = buyer.call("POST", "/orders",
                                             {"lines": [{"id": self.item, "quantity": 1}]},
                                             {"Idempotency-Key": f"{self.name}-{len(self.calls)}"})
                if status == 201:
                    self.orders.append(body)
            else:
                status, _, _ = buyer.call("GET", f"/lookup/{self.item}")
            self.calls.append((began, time.monotonic() - began, status))
        buyer.close()


class Prober(threading.Thread):
    """Asks the bridge whether it is ready, as a balancer does; only more often."""

    def __init__(self, store, stop):
        super().__init__()
        self.store, self.stop = store, stop
        self.statuses = Counter()

    def run(self):
        buyer = HttpBuyer(http_port(self.store))
        while not self.stop.wait(0.005):
            self.statuses[buyer.call("GET", "/readyz")[0]] += 1
        buyer.close()


class Customers:
    """Several of them, for as long as the block lasts; then each of their requests has succeeded,
    what they bought is what the store has sold, and the bridge was ready all the time."""

    def __init__(self, store, item=ITEM):
        add_item(store, item, title="A book", price_cents=100, stock=10**6)
        self.store, self.item, self.stop = store, item, threading.Event()
        self.sold_to_others = Counter()  # {item: quantity}, for whoever else buys meanwhile to say
        self.all = [Customer(store, item, f"customer-{item}-{i}", i % 2 == 0, self.stop)
                    for i in range(4)]
        self.prober = Prober(store, self.stop)

    def __enter__(self):
        for thread in [*self.all, self.prober]:
            thread.start()
        self.go_on()
        return self

    def go_on(self):
        """Wait until each has done some things more."""
        before = [len(customer.calls) for customer in self.all]
        wait_until(lambda: all(len(customer.calls) >= count + 10
                               for customer, count in zip(self.all, before)), 20,
                   "every customer goes on")

    def slowest_s(self, since):
        return max(took for customer in self.all for began, took, _ in customer.calls
                   if began + took >= since)

    def orders(self):
        """What they have bought, as it was answered. For when the block is over."""
        return [order for customer in self.all for order in customer.orders]

    def __exit__(self, kind, *_):
        self.stop.set()
        for thread in [*self.all, self.prober]:
            thread.join()
        if kind is not None:
            return
        statuses = Counter(call[2] for customer in self.all for call in customer.calls)
        assert set(statuses) == {200, 201}, statuses
        assert set(self.prober.statuses) == {200}, self.prober.statuses
        assert_conserved(self.store, {self.item: statuses[201], **self.sold_to_others})
