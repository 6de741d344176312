"""Two brokers: the loss of either is hardly noticed.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import time

import pytest

from bus import Client
from cluster import wait_until
from customers import ITEM, Customers
from shop import add_item, bus_endpoint

GONE_S, BACK_S = 0.5, 0.2  # HEARTBEAT_GONE_MS, RECONNECT_WORKER_MS_MAX
# What a busy machine adds to a pause; sanitizers make it several times slower.
NOISE_S = 0.5 if not os.environ.get("PYGMY_SAN") else 2.0
SERVICES = {"catalog", "catalog.leader", "catalog.leases", "order", "order.leader"}


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    return make_cluster("--brokers", "2")


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
@pytest.mark.bare
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
@pytest.mark.bare
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
@pytest.mark.bare
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
@pytest.mark.bare
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
    add_item(store, ITEM, title="A book", price_cents=100, stock=2)
    store.stop("broker-1")
    assert store.pygmy("buy", ITEM).code == 0
    store.start("broker-1")
    store.stop("broker-2")
    assert store.pygmy("buy", ITEM).code == 0
    store.start("broker-2")
