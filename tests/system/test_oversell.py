"""Twenty customers want the last five copies, at the same moment.

PYGMY_ROUNDS says how often (default 20): the full measure is 1000.

SPDX-License-Identifier: Apache-2.0
"""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from shop import BusBuyer, HttpBuyer, add_item, assert_conserved, bus_endpoint, http_port

ROUNDS = int(os.environ.get("PYGMY_ROUNDS", "20"))
BUYERS = 20
COPIES = 5


def make_buyers(cluster, way):
    if way == "http":
        return [HttpBuyer(http_port(cluster)) for _ in range(BUYERS)]
    return [BusBuyer(bus_endpoint(cluster)) for _ in range(BUYERS)]


@pytest.mark.limit_s(60 + ROUNDS)
@pytest.mark.parametrize("way", ["http", "bus"])
def test_twenty_buyers_of_five_copies_get_exactly_five(cluster, way):
    """Exactly the stock is sold, each refusal is a definite one, and the numbers have no gap."""
    item = 7
    add_item(cluster, item, title="The Last Copies", price_cents=1000, stock=COPIES)
    buyers = make_buyers(cluster, way)
    admin = HttpBuyer(http_port(cluster))
    start = Barrier(BUYERS)
    numbers = []

    def buy(index, round_number):
        start.wait()
        return buyers[index].buy(item, 1, f"{way}-{round_number}-{index}")

    with ThreadPoolExecutor(BUYERS) as pool:
        for round_number in range(ROUNDS):
            results = list(pool.map(buy, range(BUYERS), [round_number] * BUYERS))
            sold = [body for what, body in results if what == "sold"]
            refused = [body for what, body in results if what == "refused"]
            assert len(sold) == COPIES and len(refused) == BUYERS - COPIES, results
            left = sorted(order["lines"][0]["stock_left"] for order in sold)
            assert left == list(range(COPIES)), left
            numbers += [order["order_number"] for order in sold]
            status, body, _ = admin.call("GET", f"/lookup/{item}")
            assert (status, body["stock"]) == (200, 0)
            status, body, _ = admin.call("POST", f"/items/{item}/stock",
                                         {"change": COPIES, "reason": "next round"},
                                         {"Authorization": f"Bearer {cluster.admin_token}"})
            assert (status, body["stock"]) == (200, COPIES), body

    assert sorted(numbers) == list(range(1, ROUNDS * COPIES + 1))
    assert_conserved(cluster, {item: ROUNDS * COPIES})
