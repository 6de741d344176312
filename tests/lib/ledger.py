"""A store that several tests share one after the other, and the book of all that it has sold.

SPDX-License-Identifier: Apache-2.0
"""

import itertools
from collections import Counter

from bus import Client
from customers import Customers
from replicas import GROUPS, read_at, replicas_of, wait_well
from shop import HttpBuyer, add_item, assert_conserved, bus_endpoint, http_port

BRIDGES = (1, 2)
CALL_S = 5.0  # for what no fail-over takes part in, on a busy machine


class Shop:
    """What is bought by way of it is noted, and check() holds the store to it."""

    def __init__(self, store):
        self.store = store
        self.ids = itertools.count(1)
        self.orders = {}  # {number: order}, as they were answered
        self.sold = Counter()  # {item: quantity}
        self.checked = set()  # numbers of orders that have been read back

    def new_item(self, stock, **fields):
        """Put an item on sale that nobody else has to do with. Returns its id."""
        item = next(self.ids)
        add_item(self.store, item, **{"title": f"Book {item}", "price_cents": 100 + item,
                                      "stock": stock, **fields})
        return item

    def note(self, order):
        number = order["order_number"]
        assert number not in self.orders, (order, self.orders[number])
        self.orders[number] = order
        for line in order["lines"]:
            self.sold[line["id"]] += line["quantity"]
        return order

    def buy(self, item, quantity=1, bridge=1):
        """Buy in one request that makes a key by itself. Returns the order."""
        answer = self.store.post(f"/buy/{item}", {"quantity": quantity}, bridge=bridge)
        assert answer.status == 201, answer
        return self.note(answer.json)

    def stock_of(self, item, bridge=1):
        answer = self.store.get(f"/lookup/{item}", bridge=bridge)
        assert answer.status == 200, answer
        return answer.json["stock"]

    def customers(self):
        """Some who buy and read all the time, and put up with no error."""
        customers = Customers(self.store, next(self.ids))
        customers.sold_to_others.update(self.sold)
        return customers

    def note_all(self, customers):
        for order in customers.orders():
            self.note(order)

    def check(self):
        """The store is whole, has sold what is noted and nothing else, has all orders as they were
        answered, and all of its replicas have the same."""
        wait_well(self.store)
        assert_conserved(self.store, dict(self.sold))
        self.check_orders()
        for group in GROUPS:
            sums = [sums_at(self.store, name) for name in replicas_of(group)]
            assert sums[0] == sums[1] == sums[2], sums
            if group == "order":
                count = len(self.orders)
                assert (sums[0]["orders"], sums[0]["last_number"]) == (count, count), sums

    def check_orders(self):
        """Read back what was not yet."""
        numbers = sorted(set(self.orders) - self.checked)
        if not numbers:
            return
        client = Client(bus_endpoint(self.store))
        answers = client.call_all([("order", {"op": "order", "number": number})
                                   for number in numbers], 30.0)
        client.close()
        for number, (status, body) in zip(numbers, answers):
            assert status == 0 and body["order"] == self.orders[number], (number, body)
        self.checked.update(numbers)

    def recheck(self):
        """The same, and all orders once more."""
        self.checked.clear()
        self.check()


def sums_at(store, name):
    """What one replica has, in few numbers."""
    sums = read_at(store, name, "audit" if name.startswith("catalog") else "tally")
    return {key: value for key, value in sums.items() if key not in ("log_index", "log_time")}


class Visitor:
    """Looks at two books of its own and buys them, at one bridge: as nobody else buys these, it
    knows what it has to see."""

    def __init__(self, shop, bridge=1, stock=1000):
        self.shop = shop
        self.topic = f"books of visitor {next(shop.ids)}"
        self.items = [shop.new_item(stock, topic=self.topic) for _ in range(2)]
        self.stocks = dict.fromkeys(self.items, stock)
        self.buyer = HttpBuyer(http_port(shop.store, bridge))
        self.orders = []

    def get(self, path):
        status, body, _ = self.buyer.call("GET", path, timeout=2 * CALL_S)
        assert status == 200, body
        return body

    def look(self, item):
        assert self.get(f"/lookup/{item}")["stock"] == self.stocks[item], item

    def search(self):
        found = self.get("/search/" + self.topic.replace(" ", "%20"))["items"]
        assert [row["id"] for row in found] == self.items

    def buy(self, item, quantity=1):
        status, order, _ = self.buyer.call("POST", f"/buy/{item}", {"quantity": quantity},
                                           timeout=2 * CALL_S)
        assert status == 201, order
        self.stocks[item] -= quantity
        line = order["lines"][0]
        assert (line["id"], line["quantity"], line["stock_left"]) == (
            item, quantity, self.stocks[item])
        self.orders.append(order)

    def read_back(self, order):
        assert self.get(f"/orders/{order['order_number']}") == order

    def round(self):
        """Each of the books before and after a buy, and the order of it."""
        self.search()
        for item in self.items:
            self.look(item)
            self.buy(item)
            self.look(item)
            self.read_back(self.orders[-1])

    def leave(self):
        """Read all orders once more, and leave them to the shop's book."""
        for order in self.orders:
            self.read_back(order)
            self.shop.note(order)
        self.orders = []
        self.hang_up()

    def hang_up(self):
        """For when the bridge is about to go."""
        self.buyer.close()
