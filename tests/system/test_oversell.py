"""Twenty customers want the last five copies, at the same moment.

PYGMY_ROUNDS says how often (default 20): the full measure is 1000.

SPDX-License-Identifier: Apache-2.0
"""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from shop import BusBuyer, HttpBuyer

ROUNDS = int(os.environ.get("PYGMY_ROUNDS", "20"))
BUYERS = 20
COPIES = 5


def make_buyers(cluster, way):
    if way == "http":
        return [HttpBuyer(cluster.http_port()) for _ in range(BUYERS)]
    return [BusBuyer(cluster.bus_endpoint()) for _ in range(BUYERS)]


@pytest.mark.parametrize("way", ["http", "bus"])
def test_twenty_buyers_of_five_copies_get_exactly_five(cluster, way):
    """Exactly the stock is sold, each refusal is a definite one, and the numbers have no gap."""
    item = 7
    cluster.add_item(item, title="The Last Copies", price_cents=1000, stock=COPIES)
    buyers = make_buyers(cluster, way)
    admin = HttpBuyer(cluster.http_port())
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
                                         cluster.admin_headers())
            assert (status, body["stock"]) == (200, COPIES), body

    assert sorted(numbers) == list(range(1, ROUNDS * COPIES + 1))
    cluster.assert_conserved({item: ROUNDS * COPIES})
