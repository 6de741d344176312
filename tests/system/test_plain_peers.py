"""Plain Majordomo clients, which know nothing of ours, at the store.

The pairs of plain clients and plain workers among themselves are in test_broker.py.

SPDX-License-Identifier: Apache-2.0
"""

import itertools
import json

import pytest
from broker import PlainClient
from shop import add_item, assert_conserved, bus_endpoint

ITEM = 7


def ask(client, service, request):
    """What a script of some other language does: a JSON object there, a JSON object back."""
    (body,) = client.call(service, json.dumps(request).encode())
    return json.loads(body)


@pytest.fixture(name="shop")
def shop_fixture(cluster):
    add_item(cluster, ITEM, title="Plain Speaking", price_cents=250, stock=10)
    return cluster


def test_plain_clients_of_every_dialect_look_up_and_buy(shop):
    """0.1 and 0.2, with and without the empty first frame: each reads, buys, and repeats its buy."""
    sold = 0
    for version, empty in itertools.product((1, 2), (True, False)):
        client = PlainClient(bus_endpoint(shop), version, empty)
        found = ask(client, b"catalog", {"op": "lookup", "id": ITEM})
        assert found["item"]["stock"] == 10 - sold
        buy = {"op": "buy", "key": f"plain-{version}-{empty}", "stamp": found["log_time"],
               "lines": [{"id": ITEM, "quantity": 2}]}
        answer = ask(client, b"order.leader", buy)
        sold += 2
        assert answer["order"]["lines"][0]["stock_left"] == 10 - sold
        assert ask(client, b"order.leader", buy)["order"] == answer["order"]
        client.close()
    assert_conserved(shop, {ITEM: sold})


def test_a_plain_client_is_told_errors_in_the_body(shop):
    """It sees no status: the member `error` has all of it."""
    client = PlainClient(bus_endpoint(shop), 2)
    stamp = ask(client, b"catalog", {"op": "time"})["log_time"]
    answer = ask(client, b"order.leader", {"op": "buy", "key": "too-many", "stamp": stamp,
                                           "lines": [{"id": ITEM, "quantity": 11}]})
    assert answer["error"]["type"] == "out-of-stock" and answer["error"]["available"] == 10
    assert ask(client, b"catalog", {"op": "lookup", "id": 8})["error"]["type"] == "not-found"
    assert ask(client, b"catalog", {"op": "fly"})["error"]["type"] == "not-implemented"
    assert_conserved(shop, {})
    client.close()
