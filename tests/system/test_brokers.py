"""Two brokers: the loss of either is hardly noticed.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import threading
import time
from collections import Counter

import pytest

from bus import Client
from cluster import wait_until
from shop import HttpBuyer, add_item, assert_conserved, bus_endpoint, http_port

ITEM = 1
GONE_S, BACK_S = 0.5, 0.2  # HEARTBEAT_GONE_MS, RECONNECT_WORKER_MS_MAX
# What a busy machine adds to a pause; sanitizers make it several times slower.
NOISE_S = 0.5 if not os.environ.get("PYGMY_SAN") else 2.0
SERVICES = {"catalog", "catalog.leader", "order", "order.leader"}


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    store = make_cluster("--brokers", "2")
    add_item(store, ITEM, title="A book", price_cents=100, stock=10**6)
    return store


class Customer(threading.Thread):
    """Buys or reads over HTTP without a pause; each request is one of its own, and none is sent
    again: what the bridge can't hide, it sees."""

    def __init__(self, store, name, buys, stop):
        super().__init__()
        self.store, self.name, self.buys, self.stop = store, name, buys, stop
        self.calls = []  # when it began, how long it took, the status

    def run(self):
        buyer = HttpBuyer(http_port(self.store))
        while not self.stop.is_set():
            began = time.monotonic()
            if self.buys:
                status, _, _ = buyer.call("POST", "/orders",
                                          {"lines": [{"id": ITEM, "quantity": 1}]},
                                          {"Idempotency-Key": f"{self.name}-{len(self.calls)}"})
            else:
                status, _, _ = buyer.call("GET", f"/lookup/{ITEM}")
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

    def __init__(self, store):
        self.store, self.stop = store, threading.Event()
        self.all = [Customer(store, f"customer-{i}", i % 2 == 0, self.stop) for i in range(4)]
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

    def __exit__(self, kind, *_):
        self.stop.set()
        for thread in [*self.all, self.prober]:
            thread.join()
        if kind is not None:
            return
        statuses = Counter(call[2] for customer in self.all for call in customer.calls)
        assert set(statuses) == {200, 201}, statuses
        assert set(self.prober.statuses) == {200}, self.prober.statuses
        assert_conserved(self.store, {ITEM: statuses[201]})


def served_by(store, broker):
    """The services that a broker has workers of. Empty when it doesn't answer."""
    client = Client(bus_endpoint(store, broker))
    try:
        status, body = client.call(f"node.broker-{broker}", {"op": "status"}, 2.0)
        return {service["name"] for service in body["services"] if service["worker_count"] > 0}
    finally:
        client.close()


def requests_of(store, broker):
    """How many requests a broker has answered so far."""
    client = Client(bus_endpoint(store, broker))
    try:
        return client.call(f"node.broker-{broker}", {"op": "status"})[1]["counters"]["requests_ok"]
    finally:
        client.close()


def in_use(store):
    """The broker that the bridge uses, with customers at work."""
    before = {broker: requests_of(store, broker) for broker in (1, 2)}

    def more():
        return next((broker for broker in (1, 2)
                     if requests_of(store, broker) >= before[broker] + 20), None)
    return wait_until(more, what="a broker has work")


def test_every_worker_registers_with_every_broker(store):
    own = {f"node.{name}" for name in ("catalog-1", "order-1", "bridge-1")}
    for broker in (1, 2):
        wait_until(lambda: served_by(store, broker) >= SERVICES | own)


@pytest.mark.alone
def test_a_killed_broker_costs_no_more_than_a_pause(store):
    with Customers(store) as customers:
        for _ in range(2):  # there and back
            broker = in_use(store)
            killed_at = time.monotonic()
            os.kill(store.pid(f"broker-{broker}"), signal.SIGKILL)
            customers.go_on()
            assert in_use(store) == 3 - broker
            assert customers.slowest_s(killed_at) < GONE_S + NOISE_S


@pytest.mark.alone
def test_a_broker_that_stands_still_costs_a_pause_until_it_is_missed(store):
    with Customers(store) as customers:
        broker = in_use(store)
        pid = store.pid(f"broker-{broker}")
        stopped_at = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            customers.go_on()
            assert customers.slowest_s(stopped_at) < GONE_S + NOISE_S
        finally:
            os.kill(pid, signal.SIGCONT)
        # What it still had, it gives away late: to no effect.
        customers.go_on()


@pytest.mark.alone
def test_a_broker_that_drains_costs_nothing(store):
    with Customers(store) as customers:
        for _ in range(2):
            broker = in_use(store)
            restarted_at = time.monotonic()
            store.restart(f"broker-{broker}")
            customers.go_on()
            assert in_use(store) == 3 - broker
            assert customers.slowest_s(restarted_at) < NOISE_S


def test_the_loss_of_both_brokers_is_outlived(store):
    with Customers(store) as customers:
        for broker in (1, 2):
            os.kill(store.pid(f"broker-{broker}"), signal.SIGKILL)
        customers.go_on()


@pytest.mark.alone
def test_a_broker_that_was_away_has_its_workers_back_soon(store):
    """However long it was away: here for as long as it takes the pauses to reach their bound."""
    with Customers(store) as customers:
        store.stop("broker-1")
        away = time.monotonic()
        wait_until(lambda: time.monotonic() - away > 3)
        store.start("broker-1")
        started_at = time.monotonic()
        wait_until(lambda: served_by(store, 1) >= SERVICES)
        assert time.monotonic() - started_at < BACK_S + NOISE_S
        customers.go_on()


def test_the_command_line_finds_the_broker_that_lives(store):
    store.stop("broker-1")
    assert store.pygmy("buy", ITEM).code == 0
    store.start("broker-1")
    store.stop("broker-2")
    assert store.pygmy("buy", ITEM).code == 0
    store.start("broker-2")
