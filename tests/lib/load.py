"""A recorded load: customers of every kind on a running store, and the end of it.

Customers buy, cancel, restock and look up, over HTTP or over the bus. What they do follows from
the seed and their name; when they do it does not. What is unknown is sent again with the same key,
and now and then given up, or after some time; what is known is now and then sent again, too. With
several bridges or brokers they go to the next one after an unknown outcome.

SPDX-License-Identifier: Apache-2.0
"""

import random
import re
import threading
import time
from collections import Counter

from bus import Client, Unknown
from cluster import wait_until
from history import now, order_essentials
from laws import NOT_NOW
from readers import GUESTS_STOCK, GUESTS_TOPICS
from shop import HttpBuyer, bus_endpoint, http_port

CALL_SECONDS = 2.0
RETRY_SECONDS = 0.02  # a dead process refuses at once: no busy loop around it
GIVE_UP, REPEAT, COME_BACK = 0.05, 0.03, 0.5
QUIET, GUESTS = 16, 24
# What a broker answers by itself, without a body.
BROKERS_WORDS = {1: "no-service", 2: "queue-full", 3: "expired", 4: "worker-lost", 9: "timeout",
                 10: "draining", 100: "unknown-outcome"}
# Cache-Status of an answer from the memory of the bridge that was asked.
FROM_MEMORY = re.compile(r"^pygmy *; *hit\b")
PAGE = 500
AT_A_TIME = 64  # questions under way when the end is asked for


def guest(args):
    """An item that is put on sale."""
    return {"id": args["item"], "title": f"Guest {args['item']}", "topic": args["topic"],
            "price_cents": 100, "stock": args["stock"]}


class HttpWay:
    """Requests over HTTP. Each method makes one attempt; its result is what the store said:
    (True, answer) or (False, error), or Unknown is raised."""

    def __init__(self, cluster, bridges=1, begin=0):
        """@begin: which of the bridges is the first to be asked, counted from 0."""
        numbers = [1 + (begin + i) % bridges for i in range(bridges)]
        self.places = [(http_port(cluster, i), cluster.address(f"bridge-{i}")) for i in numbers]
        self.buyer = HttpBuyer(*self.places[0])
        self.token = {"Authorization": f"Bearer {cluster.admin_token}"}

    def ask(self, method, path, body=None, headers=None):
        try:
            status, body, headers = self.buyer.call(method, path, body, headers, CALL_SECONDS)
        except Unknown:
            self.places.append(self.places.pop(0))
            self.buyer = HttpBuyer(*self.places[0])
            raise
        if status >= 400:
            return False, body
        return True, (body, headers)

    def order(self, path, key, body=None):
        ok, told = self.ask("POST", path, body, {"Idempotency-Key": key})
        if not ok:
            return False, told
        return True, {"order": order_essentials(told[0]), "replayed": self.replayed(told[1])}

    @staticmethod
    def replayed(headers):
        return headers.get("Idempotency-Replayed") == "true"

    def buy(self, key, args, _):
        lines = [{"id": item, "quantity": quantity} for item, quantity in args["lines"]]
        return self.order("/orders", key, {"lines": lines})

    def cancel(self, key, args, _):
        return self.order(f"/orders/{args['number']}/cancel", key)

    def restock(self, key, args, _):
        ok, told = self.ask("POST", f"/items/{args['item']}/stock",
                            {"change": args["change"], "reason": key},
                            {"Idempotency-Key": key, **self.token})
        if not ok:
            return False, told
        return True, {"stock": told[0]["stock"], "version": told[0]["version"],
                      "replayed": self.replayed(told[1])}

    def add(self, key, args, _):
        ok, told = self.ask("POST", "/items", guest(args),
                            {"Idempotency-Key": key, **self.token})
        if not ok:
            return False, told
        return True, {"stock": told[0]["stock"], "version": told[0]["version"],
                      "replayed": self.replayed(told[1])}

    def move(self, key, args, _):
        ok, told = self.ask("PATCH", f"/items/{args['item']}", {"topic": args["topic"]},
                            {"Idempotency-Key": key, "If-Match": "*", **self.token})
        if not ok:
            return False, told
        return True, {"stock": told[0]["stock"], "version": told[0]["version"],
                      "replayed": self.replayed(told[1])}

    def remove(self, key, args, _):
        ok, told = self.ask("DELETE", f"/items/{args['item']}", None,
                            {"Idempotency-Key": key, **self.token})
        return ok, {"replayed": self.replayed(told[1])} if ok else told

    def lookup(self, _, args, __):
        ok, told = self.ask("GET", f"/lookup/{args['item']}")
        if not ok:
            return False, told
        return True, {"stock": told[0]["stock"], "version": told[0]["version"],
                      "memory": bool(FROM_MEMORY.match(told[1].get("Cache-Status", "")))}

    def stamp(self):
        return None  # the bridge's matter

    def close(self):
        self.buyer.close()


class BusWay:
    """The same over the bus."""

    def __init__(self, cluster, brokers=1, begin=0):
        """@begin: which of the brokers is the first to be asked, counted from 0."""
        self.endpoints = [bus_endpoint(cluster, 1 + (begin + i) % brokers)
                          for i in range(brokers)]
        self.client = Client(self.endpoints[0])
        self.secret = cluster.read("cluster.secret").strip()
        self.log_time = None

    def ask(self, service, **request):
        try:
            status, body = self.client.call(service, request, CALL_SECONDS)
        except Unknown:
            self.endpoints.append(self.endpoints.pop(0))
            self.client.close()
            self.client = Client(self.endpoints[0])
            raise
        if status != 0:
            return False, body["error"] if body else {"type": BROKERS_WORDS[status]}
        self.log_time = body.get("log_time", self.log_time)
        return True, body

    def order(self, **request):
        ok, told = self.ask("order.leader", **request)
        if not ok:
            return False, told
        return True, {"order": order_essentials(told["order"]), "replayed": told["replayed"],
                      "log_time": told["log_time"]}

    def buy(self, key, args, stamp):
        lines = [{"id": item, "quantity": quantity} for item, quantity in args["lines"]]
        return self.order(op="buy", key=key, stamp=stamp, lines=lines)

    def cancel(self, key, args, stamp):
        return self.order(op="cancel", key=key, stamp=stamp, number=args["number"])

    def restock(self, key, args, stamp):
        ok, told = self.ask("catalog.leader", op="stock", key=key, stamp=stamp, id=args["item"],
                            change=args["change"], reason=key, secret=self.secret)
        return ok, self.item(told, replayed=told["replayed"]) if ok else told

    def add(self, key, args, stamp):
        ok, told = self.ask("catalog.leader", op="item_add", key=key, stamp=stamp,
                            secret=self.secret, **guest(args))
        return ok, self.item(told, replayed=told["replayed"]) if ok else told

    def move(self, key, args, stamp):
        ok, told = self.ask("catalog.leader", op="item_edit", key=key, stamp=stamp,
                            secret=self.secret, id=args["item"], topic=args["topic"])
        return ok, self.item(told, replayed=told["replayed"]) if ok else told

    def remove(self, key, args, stamp):
        ok, told = self.ask("catalog.leader", op="item_remove", key=key, stamp=stamp,
                            secret=self.secret, id=args["item"])
        return ok, {"replayed": told["replayed"], "log_time": told["log_time"]} if ok else told

    def lookup(self, _, args, __):
        ok, told = self.ask("catalog", op="lookup", id=args["item"])
        return ok, self.item(told) if ok else told

    @staticmethod
    def item(told, **more):
        return {"stock": told["item"]["stock"], "version": told["item"]["version"],
                "log_time": told["log_time"], **more}

    def stamp(self):
        """The log time as this customer knows it. Raises Unknown."""
        if self.log_time is None:
            self.ask("catalog", op="time")
        if self.log_time is None:
            raise Unknown()
        return self.log_time

    def close(self):
        self.client.close()


class Customer(threading.Thread):
    """Does one thing after the other until it is told to stop, and records it.

    @patience_s: each write is tried for so long, also after the stop. None: what is unknown is
    given up now and then, and at the stop.
    @quiet: items that one operation of QUIET is about
    @guests: items that one operation of GUESTS adds, removes or moves to another topic, and no
    other is about"""

    def __init__(self, name, make_way, recorder, items, seed, patience_s=None, quiet=(), guests=()):
        super().__init__(name=name)
        self.make_way, self.recorder, self.items = make_way, recorder, items
        self.rng = random.Random(f"{seed}-{name}")
        self.patience_s = patience_s
        self.quiet, self.guests = list(quiet), list(guests)
        self.ends = Counter()  # of writes: "acknowledged", "denied", "given up"
        self.stopping = threading.Event()
        self.own = []  # numbers of orders that may be cancelled
        self.gone = None  # a guest that was just removed, and is to come back at once
        self.turns = 0
        self.problem = None  # what ended it, if that was not stopping

    def run(self):
        way = self.make_way()
        try:
            while not self.stopping.is_set():
                self.turns += 1
                self.do(way, *self.choose())
        except Exception as problem:  # pylint: disable=broad-except; for who started us
            self.problem = problem
        finally:
            way.close()

    def choose(self):
        """The next operation, its key and its arguments. The first item is the hot one: most want
        it, and what there is of it never lasts."""
        rng, hot = self.rng, self.items[0]
        key = f"{self.name}-{self.turns}"
        item = hot if rng.random() < 0.4 else rng.choice(self.items[1:])
        if self.gone is not None or self.guests and rng.random() < 1 / GUESTS:
            guest_id, topic = self.gone or rng.choice(self.guests), rng.choice(GUESTS_TOPICS)
            what = "add" if self.gone is not None else rng.choice(("add", "move", "remove"))
            self.gone = None
            return what, key, {"add": {"item": guest_id, "stock": GUESTS_STOCK, "topic": topic},
                               "move": {"item": guest_id, "topic": topic},
                               "remove": {"item": guest_id}}[what]
        if self.quiet and rng.random() < 1 / QUIET:
            item = rng.choice(self.quiet)
        what = rng.random()
        if what < 0.25:
            return "lookup", None, {"item": item}
        if what < 0.37 and self.own:
            return "cancel", key, {"number": self.own.pop(rng.randrange(len(self.own)))}
        if what < 0.47:
            return "restock", key, {"item": item, "change": rng.choice((-1, 2, 4, 8))}
        lines = {item: rng.randint(1, 3)}
        if rng.random() < 0.2:
            lines[rng.choice(self.items)] = 1
        return "buy", key, {"lines": sorted(map(list, lines.items()))}

    def do(self, way, op, key, args):
        """One operation: attempts until its outcome is known, or it is given up."""
        began, stamp, end = time.monotonic(), None, None
        while self.goes_on(end, began):
            try:
                stamp = stamp if key is None or stamp is not None else way.stamp()
            except Unknown:
                self.stopping.wait(RETRY_SECONDS)
                continue
            outcome, answer = self.attempt(way, op, key, args, stamp)
            if end is None and outcome != "unknown" and answer.get("type") not in NOT_NOW:
                end = "acknowledged" if outcome == "ok" else "denied"
                if end == "acknowledged" and op == "buy":
                    self.own.append(answer["order"]["number"])
                if end == "acknowledged" and op == "remove" and self.rng.random() < COME_BACK:
                    self.gone = args["item"]
            if self.is_enough(op, end):
                break
            if end is None:
                self.stopping.wait(RETRY_SECONDS)
        if op != "lookup":
            self.ends[end or "given up"] += 1

    def goes_on(self, end, began):
        """Whether there may be one more attempt."""
        if self.patience_s is None or end is not None:
            return not self.stopping.is_set()
        return time.monotonic() - began < self.patience_s

    def is_enough(self, op, end):
        """Whether there is no need for one more attempt."""
        if op == "lookup":
            return True
        if end is not None:
            return self.rng.random() >= REPEAT
        return self.patience_s is None and self.rng.random() < GIVE_UP

    def attempt(self, way, op, key, args, stamp):
        with self.recorder.attempt(self.name, op, key, args) as attempt:
            try:
                ok, told = getattr(way, op)(key, args, stamp)
            except Unknown:
                return "unknown", {}
            if ok:
                attempt.ok(told)
            else:
                attempt.failed(told)
        return attempt.outcome, attempt.answer


class Asker:
    """Asks the store at its end, when it is quiet."""

    def __init__(self, cluster):
        names = cluster.pids()
        # Each broker answers for itself alone.
        self.brokers = {name: Client(bus_endpoint(cluster, int(name.rpartition("-")[2])))
                        for name in names if name.startswith("broker-")}
        self.client = self.brokers["broker-1"]
        self.orders = [name for name in names if name.startswith("order-")]
        self.secret = cluster.read("cluster.secret").strip()
        self.under_way = None  # as far as it was asked for

    def ask(self, service, **request):
        return self.ask_by(self.client, service, **request)

    @staticmethod
    def ask_by(client, service, **request):
        status, body = client.call(service, request)
        assert status == 0, (service, request, body)
        return body

    def pages(self, service, **request):
        """All answers of a list."""
        while True:
            body = self.ask(service, **request)
            yield body
            if body["next"] is None:
                return
            request["cursor"] = body["next"]

    def is_quiet(self):
        """Whether nothing is under way any more: in the broker's queues, in the order service's
        flows, or between the two services."""
        said = [self.ask_by(client, f"node.{name}", op="status")
                for name, client in self.brokers.items()]
        left = self.ask("catalog", op="unsettled", older_ms=0, secret=self.secret)
        busy = [service["name"] for status in said for service in status["services"]
                if service["name"].endswith(".leader") and
                service["queued"] + service["in_flight"] > 0]
        flows = sum(self.ask(f"node.{name}", op="status")["flows"] for name in self.orders)
        self.under_way = {"busy": busy, "flows": flows, "grants": left["grants"],
                          "releases": left["releases"]}
        return not any(self.under_way.values())

    def wait_until_quiet(self):
        try:
            wait_until(self.is_quiet, 30, "nothing is under way in the store")
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {self.under_way}") from None

    def numbers_of(self, keys):
        """The order number of each key, None where there is no order; many asked at a time."""
        numbers, keys = {}, list(keys)
        for at in range(0, len(keys), AT_A_TIME):
            some = keys[at:at + AT_A_TIME]
            requests = [("order", {"op": "order", "key": key}) for key in some]
            for key, (status, body) in zip(some, self.client.call_all(requests)):
                assert status == 0 or body["error"]["type"] == "not-found", body
                numbers[key] = body["order"]["order_number"] if status == 0 else None
        return numbers

    def item(self, item):
        rows, head = [], None
        for head in self.pages("catalog", op="movements", id=item, limit=PAGE):
            rows += [[row["log_index"], row["change"], row["reason"]] for row in head["movements"]]
        kept = self.ask("catalog", op="lookup", id=item)["item"]
        assert kept["stock"] == head["stock"]
        return {"initial": head["initial"], "moved": head["moved"], "sold": head["sold"],
                "stock": head["stock"], "version": kept["version"], "movements": rows}

    def tally(self):
        sold, head = {}, None
        for head in self.pages("order", op="tally"):
            sold.update({str(row["id"]): row["quantity"] for row in head["sold"]})
        return {"active": head["orders"], "last_number": head["last_number"], "sold": sold}

    def close(self):
        for client in self.brokers.values():
            client.close()


def end_of(cluster, items, keys):
    """What the store says at the end, as laws.py wants it: asked once all is quiet, and again
    if something has happened meanwhile."""
    asker = Asker(cluster)
    while True:
        asker.wait_until_quiet()
        before = now(), asker.tally(), {str(item): asker.item(item) for item in items}
        orders = [order_essentials(order)
                  for page in asker.pages("order", op="orders", limit=PAGE)
                  for order in page["orders"]]
        numbers = asker.numbers_of(keys)
        after = asker.tally(), {str(item): asker.item(item) for item in items}
        if after == before[1:] and asker.is_quiet():
            asker.close()
            return {"from": before[0], "to": now(), "items": after[1], "orders": orders,
                    "keys": numbers, "tally": after[0]}
