"""One key, one order: at the same time or one after the other, whatever way the requests take.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from shop import (BusBuyer, HttpBuyer, add_item, assert_conserved, at_once, bus_endpoint,
                  http_port)

WAYS = [("bridge-1", "bridge-2"), ("bridge-1", "bus"), ("bus", "bus"), ("bridge-1", "bridge-1")]
ITEM = 7


@pytest.fixture(name="shop")
def shop_fixture(make_cluster):
    shop = make_cluster("--bridges", "2")
    add_item(shop, ITEM, title="One Only", price_cents=1000, stock=1000)
    return shop


def make_buyer(shop, way):
    if way == "bus":
        return BusBuyer(bus_endpoint(shop))
    return HttpBuyer(http_port(shop, int(way[-1])))


def test_two_buys_with_one_key_make_one_order_with_one_answer(shop):
    """Each pair of ways, both at once and in turn: the same order twice, and one sale."""
    sales = 0
    for ways in WAYS:
        for turn in ("at once", "in turn"):
            key = f"{ways[0]}-{ways[1]}-{turn}".replace(" ", "-")
            buyers = [make_buyer(shop, way) for way in ways]
            calls = [lambda buyer=buyer: buyer.buy(ITEM, 2, key) for buyer in buyers]
            answers = at_once(calls) if turn == "at once" else [call() for call in calls]
            assert [what for what, _ in answers] == ["sold", "sold"], answers
            assert answers[0][1] == answers[1][1]
            sales += 1
    assert_conserved(shop, {ITEM: 2 * sales})


def test_a_key_that_comes_back_with_other_content_is_refused(shop):
    """422, over HTTP and over the bus, and nothing is sold by it."""
    for ways in WAYS:
        key = f"other-{ways[0]}-{ways[1]}"
        first, second = [make_buyer(shop, way) for way in ways]
        before = first.buy(ITEM, 1, key)
        assert before[0] == "sold"
        what, body = second.buy(ITEM, 3, key)
        assert what == "refused", body
        problem = body.get("error", body)
        assert problem["type"].endswith("key-reused"), body
        if ways[1] != "bus":
            assert body["status"] == 422
        assert first.buy(ITEM, 1, key) == before
    assert_conserved(shop, {ITEM: len(WAYS)})


def test_a_replayed_answer_says_so(shop):
    """Idempotency-Replayed is on the second answer and not on the first."""
    buyer = HttpBuyer(http_port(shop))
    body = {"lines": [{"id": ITEM, "quantity": 1}]}
    answers = [buyer.call("POST", "/orders", body, {"Idempotency-Key": "replay"})
               for _ in range(2)]
    assert [answer[0] for answer in answers] == [201, 201]
    assert answers[0][1] == answers[1][1]
    assert [answer[2].get("Idempotency-Replayed") for answer in answers] == [None, "true"]
    assert_conserved(shop, {ITEM: 1})


def test_lines_are_compared_as_sums_and_not_as_bytes(shop):
    """2 + 1 of an item in two lines is the same purchase as 3 in one."""
    buyer = HttpBuyer(http_port(shop))
    split = {"lines": [{"id": ITEM, "quantity": 2}, {"id": ITEM, "quantity": 1}]}
    whole = {"lines": [{"quantity": 3, "id": ITEM}]}
    answers = [buyer.call("POST", "/orders", body, {"Idempotency-Key": "sums"})
               for body in (split, whole)]
    assert [answer[0] for answer in answers] == [201, 201]
    assert answers[0][1] == answers[1][1]
    assert_conserved(shop, {ITEM: 3})
