"""A store as a model, from a seed: what a right store may answer to customers at once.

Histories that are valid by construction, to test the judge with. Time is a count of steps; each
step moves one customer or one request on: requests get lost before the store and after it, go on
without their customer, are sent again with their key, or are given up. Every second lookup that is
answered is recorded as a row of reads, and of those every second one as read from memory.

SPDX-License-Identifier: Apache-2.0
"""

import random

from history import History

PRICE = 100
LOST_BEFORE, LOST_AFTER, IMPATIENT, GIVE_UP, REPEAT = 0.05, 0.05, 0.02, 0.2, 0.05


class Store:
    """What the logs of both services hold. Each method is one entry, and one moment."""

    def __init__(self, stocks, rng):
        self.rng = rng
        self.version = 10
        self.stock = dict(stocks)
        self.version_of = dict.fromkeys(stocks, self.version)
        self.initial = dict(stocks)
        self.movements = {item: [] for item in stocks}
        self.grants = {}  # key: ("granted", lines sold) or ("denied", answer)
        self.orders = []
        self.number_of = {}  # key: order number
        self.restocks = {}  # key: the answer

    def next_version(self):
        self.version += self.rng.choice((1, 1, 2, 5))  # other entries are in the log as well
        return self.version

    def reserve(self, key, lines):
        if key in self.grants:
            return
        version = self.next_version()
        for item, quantity in lines:
            if self.stock[item] < quantity:
                self.grants[key] = "denied", {"type": "out-of-stock", "item": item,
                                              "requested": quantity,
                                              "available": self.stock[item]}
                return
        sold = []
        for item, quantity in lines:
            self.stock[item] -= quantity
            self.version_of[item] = version
            sold.append([item, quantity, PRICE, self.stock[item], version])
        self.grants[key] = "granted", sold

    def order(self, key):
        verdict, sold = self.grants[key]
        if verdict == "denied" or key in self.number_of:
            return
        self.orders.append({"number": len(self.orders) + 1, "state": "active", "lines": sold,
                            "total": sum(line[1] * PRICE for line in sold),
                            "created": f"t{self.version}", "cancelled": None})
        self.number_of[key] = len(self.orders)

    def undo(self, number):
        order = self.orders[number - 1]
        if order["state"] != "active":
            return
        version = self.next_version()
        for item, quantity, *_ in order["lines"]:
            self.stock[item] += quantity
            self.version_of[item] = version
        order["state"] = "cancelling"

    def conclude(self, number):
        order = self.orders[number - 1]
        if order["state"] == "cancelling":
            order.update(state="cancelled", cancelled=f"t{self.version}")

    def restock(self, key, item, change):
        if key in self.restocks:
            return
        if self.stock[item] + change < 0:
            self.restocks[key] = {"type": "out-of-stock", "item": item, "requested": -change,
                                  "available": self.stock[item]}
            return
        version = self.version_of[item] = self.next_version()
        self.stock[item] += change
        self.movements[item].append([version, change, key])
        self.restocks[key] = {"stock": self.stock[item], "version": version}

    def end(self, keys, time):
        active = [order for order in self.orders if order["state"] == "active"]
        sold = dict.fromkeys(self.stock, 0)
        for order in active:
            for line in order["lines"]:
                sold[line[0]] += line[1]
        return {
            "from": time, "to": time + 1,
            "items": {str(item): {
                "initial": self.initial[item], "stock": self.stock[item], "sold": sold[item],
                "moved": sum(movement[1] for movement in self.movements[item]),
                "version": self.version_of[item], "movements": self.movements[item],
            } for item in self.stock},
            "orders": self.orders,
            "keys": {key: self.number_of.get(key) for key in keys},
            "tally": {"active": len(active), "last_number": len(self.orders),
                      "sold": {str(item): count for item, count in sold.items() if count}},
        }


class Flow:
    """A request that has reached the store, on its way through the logs."""

    def __init__(self, store, op, key, args):
        self.store, self.op, self.key, self.args = store, op, key, args
        self.stage = 0

    def step(self):
        """One entry further. True when there is an answer."""
        store, first = self.store, self.stage == 0
        self.stage += 1
        if self.op == "buy":
            store.reserve(self.key, self.args["lines"]) if first else store.order(self.key)
            return not first or store.grants[self.key][0] == "denied"
        if self.op == "cancel":
            number = self.args["number"]
            store.undo(number) if first else store.conclude(number)
            return not first
        if self.op == "restock":
            store.restock(self.key, self.args["item"], self.args["change"])
        else:
            item = self.args["item"]
            self.seen = {"stock": store.stock[item], "version": store.version_of[item]}
        return True

    def answer(self):
        store = self.store
        if self.op == "lookup":
            return "ok", self.seen
        if self.op == "restock":
            answer = store.restocks[self.key]
            return "refused" if "type" in answer else "ok", dict(answer)
        if self.op == "cancel":
            return "ok", {"order": dict(store.orders[self.args["number"] - 1])}
        verdict, told = store.grants[self.key]
        if verdict == "denied":
            return "refused", dict(told)
        order = store.orders[store.number_of[self.key] - 1]
        made = dict(order, state="active", cancelled=None)
        return "ok", {"order": made}


class Run:
    """Customers and the store, step by step."""

    def __init__(self, seed, attempts, customers, stocks, lookups):
        self.lookups = lookups  # their share
        self.rng = random.Random(seed)
        self.store = Store(stocks, self.rng)
        self.history = History()
        self.history.seed = seed
        self.history.items = {item: (stock, self.store.version)
                              for item, stock in stocks.items()}
        self.wanted = attempts
        self.time = 1
        self.calls = 0
        self.keys = []
        self.busy = [None] * customers  # (attempt's row, its flow or None if that was lost)
        self.again = [None] * customers  # (op, key, args) to repeat
        self.ghosts = []  # flows whose customer has gone
        self.own = [[] for _ in range(customers)]  # orders that a customer may cancel

    def go(self):
        while len(self.history.attempts) < self.wanted:
            self.time += 1
            if self.ghosts and self.rng.random() < 0.05:
                self.step_ghost(self.rng.randrange(len(self.ghosts)))
                continue
            customer = self.rng.randrange(len(self.busy))
            self.call(customer) if self.busy[customer] is None else self.move(customer)
        self.hang_up()
        buys = {row["key"] for row in self.history.attempts if row["op"] == "buy"}
        return self.history, self.store.end(buys, self.time + 1)

    def hang_up(self):
        """Nobody waits any longer; what has begun is finished, what has not is dropped."""
        for customer, under_way in enumerate(self.busy):
            if under_way is not None:
                if under_way[1] is not None:
                    self.ghosts.append(under_way[1])
                self.ret(customer, "unknown", {})
        for flow in self.ghosts:
            while flow.stage > 0 and not flow.step():
                pass
        self.time += 1

    def step_ghost(self, index):
        if self.ghosts[index].step():
            self.ghosts.pop(index)

    def call(self, customer):
        op, key, args = self.again[customer] or self.choose(customer)
        self.again[customer] = None
        self.calls += 1
        row = {"process": f"model-{customer}", "call": self.calls, "op": op, "key": key,
               "args": args, "from": self.time, "to": 0, "outcome": "unknown", "answer": {}}
        lost = self.rng.random() < LOST_BEFORE
        self.busy[customer] = row, None if lost else Flow(self.store, op, key, args)

    def choose(self, customer):
        rng, items = self.rng, sorted(self.store.stock)
        what = rng.random()
        key = f"k{self.calls}"
        if what < self.lookups:
            return "lookup", None, {"item": rng.choice(items)}
        what = (what - self.lookups) / (1 - self.lookups)
        if what < 0.20 and self.own[customer]:
            number = self.own[customer].pop(rng.randrange(len(self.own[customer])))
            return "cancel", key, {"number": number}
        if what < 0.33:
            return "restock", key, {"item": rng.choice(items), "change": rng.choice((-1, 1, 3, 5))}
        lines = [[item, rng.randint(1, 3)]
                 for item in sorted(rng.sample(items, min(len(items), rng.choice((1, 1, 2)))))]
        return "buy", key, {"lines": lines}

    def move(self, customer):
        row, flow = self.busy[customer]
        if flow is None or self.rng.random() < IMPATIENT:
            if flow is not None:
                self.ghosts.append(flow)
            self.ret(customer, "unknown", {})
        elif flow.step():
            if self.rng.random() < LOST_AFTER:
                self.ret(customer, "unknown", {})
            else:
                self.ret(customer, *flow.answer())

    def ret(self, customer, outcome, answer):
        row, _ = self.busy[customer]
        self.busy[customer] = None
        row.update(to=self.time, outcome=outcome, answer=answer)
        if row["op"] == "lookup" and outcome == "ok" and row["call"] % 2 == 0:
            self.history.reads.append((row["process"], [
                [row["args"]["item"], row["from"], row["to"], answer["stock"], answer["version"],
                 row["call"] % 4 == 0]]))
            return
        self.history.attempts.append(row)
        if row["op"] == "lookup":
            return
        if self.rng.random() < (1 - GIVE_UP if outcome == "unknown" else REPEAT):
            self.again[customer] = row["op"], row["key"], row["args"]
        elif row["op"] == "buy" and outcome == "ok":
            self.own[customer].append(answer["order"]["number"])


def run(seed, attempts=200, customers=5, stocks=None, lookups=0.25):
    """A valid history and its end."""
    return Run(seed, attempts, customers, stocks or {1: 5, 2: 12, 3: 40}, lookups).go()
