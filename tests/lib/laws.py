"""The laws that a history has to keep, and what breaks them.

    linearizability  each item's stock is a counter that is never below zero, item by item, in
                     accord with real time (linear.py); what was read from a cache's memory is a
                     read like any other. So is, item by item, whether it is in a topic's list
    versions         versions of items rise in the order in which changes take effect: on an item
                     in accord with its stock, over all items in accord with real time
    denials          an "out of stock" is true at some moment between call and return
    keys             one effect for each key, the same answer for each repetition, none for a key
                     that was refused, and no effect that nobody asked for
    numbers          order numbers are unique, rise with time, and go from 1 to the last
    acknowledged     what was acknowledged is there at the end, as it was acknowledged
    conservation     initial + moved - sold = stock, and sold is what the orders hold
    floor            of the attempts outside the windows enough succeeded: a run in which all time
                     out proves nothing

The end is what the store says when all is quiet again, a dictionary:

    {"from": 1, "to": 2,                  when it was asked, on the history's clock
     "items": {"1": {"initial", "moved", "sold", "stock", "version",
                     "movements": [[version, change, reason], ...]}},
     "orders": [ORDER, ...],              all of them
     "keys": {"k8": 17, "k9": null},      for each key of a buy, the number of its order
     "tally": {"active", "last_number", "sold": {"1": 7}}}

Operations of which nobody heard an answer are settled by it. Without an end they may or may not
have taken effect, and what the end alone can tell is not judged.

SPDX-License-Identifier: Apache-2.0
"""

from collections import Counter, defaultdict

import linear
from history import WRITES, listed
from linear import CHANGE, DENIAL, NEVER, READ, Op

LAWS = ("linearizability", "versions", "denials", "keys", "numbers", "acknowledged",
        "conservation", "floor")

# Refusals that are recorded for the key: each repetition gets the same one. A cancel that is
# refused leaves its key free.
FINAL = {"buy": {"out-of-stock", "not-found", "limit"},
         "restock": {"out-of-stock", "not-found", "limit"}, "cancel": set(),
         "add": {"exists", "limit"}, "move": {"not-found"}, "remove": {"not-found"}}
# Refusals that are no verdict on the request: the store could not attend to it just then.
NOT_NOW = frozenset(("no-service", "queue-full", "expired", "not-leader", "draining", "no-broker",
                     "disk-low", "busy", "unavailable", "too-many-requests"))
# What a cancel is told when another one has cancelled the order.
CANCELLED_ALREADY = "wrong-state"
# Refusals of a store that serves as it should. Any other is a failure of the run.
VERDICTS = frozenset(("out-of-stock", "not-found", "exists", "limit", CANCELLED_ALREADY))


class Deed:
    """All attempts with one key. It takes effect between @call, the first call, and @ret, the first
    return that says so."""

    def __init__(self, key, attempts):
        self.key, self.attempts = key, attempts
        self.done = [a for a in attempts if a["outcome"] == "ok"]
        self.denied = [a for a in attempts if a["outcome"] == "refused"
                       and a["answer"]["type"] in FINAL[a["op"]]]
        self.unknown = [a for a in attempts if a["outcome"] == "unknown"]
        # An attempt that was refused for the time being has done nothing, whatever it asked for.
        live = self.done + self.denied + self.unknown
        first = live[0] if live else attempts[0]
        self.op, self.args = first["op"], first["args"]
        self.call = min((a["from"] for a in live), default=None)
        self.ret = min((a["to"] for a in self.done or self.denied), default=NEVER)
        self.answer = self.done[0]["answer"] if self.done else None

    def __str__(self):
        return f"{self.op} {self.key}"


class Verdict:
    """What was found: for each law how much was looked at, and what broke it."""

    def __init__(self):
        self.looked_at = {law: "not judged" for law in LAWS}
        self.problems = {law: [] for law in LAWS}

    def broken(self):
        return [law for law in LAWS if self.problems[law]]


class Judge:
    """Judges one history. The laws are independent of each other, as far as they can be: what the
    end and the answers disagree about is a matter of one of them."""

    def __init__(self, history, end=None):
        self.history, self.end = history, end
        self.verdict = Verdict()
        by_key = defaultdict(list)
        for attempt in history.attempts:
            if attempt["op"] in WRITES:
                by_key[attempt["key"]].append(attempt)
        self.deeds = {key: Deed(key, attempts) for key, attempts in by_key.items()}
        self.end_orders = {order["number"]: order for order in end["orders"]} if end else {}
        self.number_of = self.numbers_of_buys()
        self.orders = self.known_orders()
        self.topics = {deed.args["topic"] for deed in self.deeds.values() if "topic" in deed.args}
        self.movement_of = {}
        for item in end["items"].values() if end else ():
            self.movement_of.update({movement[2]: movement for movement in item["movements"]})

    def run(self, floor, least):
        self.judge_keys()
        self.judge_items()
        self.judge_versions()
        self.judge_numbers()
        if self.end is not None:
            self.judge_acknowledged()
            self.judge_conservation()
        self.judge_floor(floor, least)
        return self.verdict

    def problem(self, law, text):
        self.verdict.problems[law].append(text)

    def all_of(self, op):
        return [deed for deed in self.deeds.values() if deed.op == op]

    def numbers_of_buys(self):
        """The number of each key's order, as it was answered, else as the end has it."""
        numbers = {}
        for deed in self.all_of("buy"):
            if deed.done:
                numbers[deed.key] = deed.answer["order"]["number"]
            elif deed.unknown and self.end and self.end["keys"].get(deed.key) is not None:
                numbers[deed.key] = self.end["keys"][deed.key]
        return numbers

    def known_orders(self):
        """The orders by number, as they were answered, else as the end has them."""
        orders = dict(self.end_orders)
        for deed in self.deeds.values():
            if deed.op == "buy" and deed.done:
                orders[deed.answer["order"]["number"]] = deed.answer["order"]
        return orders

    def order_of(self, deed):
        """The order that a buy has made, as it was answered if it was. None: none is known."""
        if deed.done:
            return deed.answer["order"]
        return self.orders.get(self.number_of.get(deed.key))

    # ---- Keys ------------------------------------------------------------------------------

    def judge_keys(self):
        self.verdict.looked_at["keys"] = f"{len(self.deeds)} keys, {self.repeated()} repeated"
        for deed in self.deeds.values():
            self.judge_key(deed)
        if self.end is not None:
            self.judge_effects()

    def repeated(self):
        return sum(len(deed.attempts) > 1 for deed in self.deeds.values())

    def judge_key(self, deed):
        for attempt in deed.done + deed.denied + deed.unknown:
            if (attempt["op"], attempt["args"]) != (deed.op, deed.args):
                self.problem("keys", f"{deed}: not refused for other content: {attempt}")
        for answers in (deed.done, deed.denied):
            for other in answers[1:]:
                if self.essence(other) != self.essence(answers[0]):
                    self.problem("keys", f"{deed}: two answers: {answers[0]} and {other}")
        if deed.done and deed.denied:
            self.problem("keys", f"{deed}: done and denied: {deed.done[0]} and {deed.denied[0]}")
        if sum(attempt["answer"].get("replayed") is False for attempt in deed.done) > 1:
            self.problem("keys", f"{deed}: two answers claim to be no repetition")
        if deed.done and not self.fits(deed):
            self.problem("keys", f"{deed}: another thing was done: {deed.done[0]}")

    @staticmethod
    def essence(attempt):
        return {name: value for name, value in attempt["answer"].items()
                if name not in ("replayed", "log_time")}

    @staticmethod
    def fits(deed):
        if deed.op in ("restock", "add", "move", "remove"):
            return True
        order = deed.answer["order"]
        if deed.op == "cancel":
            return order["number"] == deed.args["number"] and order["state"] == "cancelled"
        return sums(line[:2] for line in order["lines"]) == sums(deed.args["lines"])

    def judge_effects(self):
        """At the end each key has one effect or none, and each effect a key."""
        keys = self.end["keys"]
        for deed in self.all_of("buy"):
            number = keys.get(deed.key)
            if deed.done and number != deed.answer["order"]["number"]:
                told = deed.answer["order"]["number"]
                self.problem("keys", f"{deed}: has order {number} at the end, was told {told}")
            elif number is not None and not deed.done and (deed.denied or not deed.unknown):
                self.problem("keys", f"{deed}: refused, and has order {number} at the end")
        owned = set(self.number_of.values())
        for number in self.end_orders:
            if number not in owned:
                self.problem("keys", f"order {number} belongs to no key")
        moved = Counter(movement[2] for item in self.end["items"].values()
                        for movement in item["movements"])
        for key, count in moved.items():
            deed = self.deeds.get(key)
            if deed is None or deed.op != "restock":
                self.problem("keys", f"movement '{key}' belongs to no key")
            elif count != 1:
                self.problem("keys", f"{deed}: {count} movements")
            elif not deed.done and (deed.denied or not deed.unknown):
                self.problem("keys", f"{deed}: refused, and has a movement at the end")

    # ---- Items -----------------------------------------------------------------------------

    def judge_items(self):
        operations = self.operations_by_item()
        counts = Counter(op.kind for ops in operations.values() for op in ops)
        items = f"{len(operations)} items"
        remembered = sum(memory for *_, memory, _ in self.history.lookups())
        self.verdict.looked_at["linearizability"] = \
            f"{items}: {counts[CHANGE]} changes, {counts[READ]} reads, {remembered} of them from " \
            "memory"
        self.verdict.looked_at["denials"] = f"{items}: {counts[DENIAL]} denials"
        for attempt in self.history.attempts:
            if attempt["op"] == "lookup" and attempt["answer"].get("type") == "not-found" and \
                    self.history.items.get(attempt["args"]["item"], (0, 0))[1] > 0:
                self.problem("linearizability", f"an item that is on sale was not found: {attempt}")
        for item, ops in operations.items():
            if item not in self.history.items:
                self.problem("linearizability", f"item {item} was never on sale: {ops[0].what}")
                continue
            broken = linear.judge_item(ops, *self.history.items[item])
            if broken is not None:
                self.problem(broken[0], f"item {item}: {broken[1]}")

    def operations_by_item(self):
        operations = defaultdict(list)
        for deed in self.all_of("buy"):
            self.add_buy(operations, deed)
        self.add_orphans(operations)
        for number, deeds in self.cancels_by_order().items():
            self.add_cancel(operations, number, deeds)
        for deed in self.all_of("restock"):
            self.add_restock(operations, deed)
        for deed in self.all_of("add") + self.all_of("move") + self.all_of("remove"):
            self.add_guest(operations, deed)
        for item, since, until, stock, version, memory, whose in self.history.lookups():
            operations[item].append(
                Op(READ, since, until,
                   f"lookup ({whose}{', from memory' if memory else ''}): stock {stock}, "
                   f"version {version}", stock=stock, version=version))
        for item, last in self.end["items"].items() if self.end else ():
            operations[int(item)].append(
                Op(READ, self.end["from"], self.end["to"],
                   f"the end: stock {last['stock']}, version {last['version']}",
                   stock=last["stock"], version=last["version"]))
        return operations

    def settled(self, deed):
        """When a change that is there at the end had taken effect, at the latest."""
        return deed.ret if deed.done or self.end is None else self.end["to"]

    def add_buy(self, operations, deed):
        if deed.key in self.number_of:
            order = self.order_of(deed)
            for item, quantity, _, left, version in order["lines"] if order else ():
                operations[item].append(
                    Op(CHANGE, deed.call, self.settled(deed),
                       f"{deed}: -{quantity}, stock left {left}, version {version}",
                       -quantity, left, version))
        elif deed.denied:
            self.add_denial(operations, deed, sums(deed.args["lines"]))
        elif deed.unknown and self.end is None:
            for item, quantity in sums(deed.args["lines"]).items():
                operations[item].append(Op(CHANGE, deed.call, NEVER,
                                           f"{deed}: -{quantity}, unknown", -quantity))

    def add_orphans(self, operations):
        """Orders of no key have taken stock all the same."""
        owned = set(self.number_of.values())
        for number, order in self.end_orders.items():
            for item, quantity, _, left, version in order["lines"] if number not in owned else ():
                operations[item].append(
                    Op(CHANGE, 0, self.end["to"],
                       f"order {number} of nobody: -{quantity}, stock left {left}, "
                       f"version {version}", -quantity, left, version))

    def add_denial(self, operations, deed, wanted):
        answer = deed.denied[0]["answer"]
        if answer["type"] != "out-of-stock":
            return
        item, available = answer["item"], answer["available"]
        text = f"{deed}: {answer['requested']} wanted, {available} available"
        if answer["requested"] != wanted.get(item) or available >= answer["requested"]:
            self.problem("denials", f"{text}: no reason for a denial of {wanted}")
        operations[item].append(Op(DENIAL, deed.call, deed.ret, text, stock=available))

    def cancels_by_order(self):
        cancels = defaultdict(list)
        for deed in self.all_of("cancel"):
            cancels[deed.args["number"]].append(deed)
        return cancels

    def add_cancel(self, operations, number, deeds):
        """The one effect of all cancels of an order."""
        order = self.orders.get(number)
        if order is None:
            if any(deed.done for deed in deeds):
                self.problem("keys", f"{deeds[0]}: cancelled order {number}, which nobody has")
            return
        calls = [deed.call for deed in deeds if deed.done or deed.unknown]
        ends = [attempt["to"] for deed in deeds for attempt in deed.attempts
                if attempt["outcome"] == "ok" or
                attempt["answer"].get("type") == CANCELLED_ALREADY]
        if self.end and self.end_orders.get(number, order)["state"] == "cancelled":
            ends.append(self.end["to"])
        if not calls or not (ends or self.end is None):
            return
        for item, quantity, *_ in order["lines"]:
            operations[item].append(Op(CHANGE, min(calls), min(ends, default=NEVER),
                                       f"cancel of order {number}: +{quantity}", quantity))

    def add_restock(self, operations, deed):
        item, change = deed.args["item"], deed.args["change"]
        movement = self.movement_of.get(deed.key)
        if deed.done:
            answer = deed.answer
            operations[item].append(
                Op(CHANGE, deed.call, deed.ret,
                   f"{deed}: {change:+}, stock {answer['stock']}, version {answer['version']}",
                   change, answer["stock"], answer["version"]))
        elif deed.denied:
            self.add_denial(operations, deed, {item: -change})
        elif deed.unknown and movement is not None:
            operations[item].append(Op(CHANGE, deed.call, self.settled(deed),
                                       f"{deed}: {change:+}, version {movement[0]}",
                                       change, None, movement[0]))
        elif deed.unknown and self.end is None:
            operations[item].append(Op(CHANGE, deed.call, NEVER, f"{deed}: {change:+}, unknown",
                                       change))

    def add_guest(self, operations, deed):
        """An item that comes, goes to another topic, or goes: it is there with all of its stock,
        or with none. Whether it was there already is an answer. The end does not tell of those of
        which nobody heard."""
        item, stock = deed.args["item"], self.guest_stock(deed.args["item"])
        if deed.denied:
            told = deed.denied[0]["answer"]["type"]
            operations[item].append(Op(READ, deed.call, deed.ret, f"{deed}: {told}",
                                       stock=stock if told == "exists" else 0))
        elif deed.done or deed.unknown:
            version = deed.answer.get("version") if deed.done else None
            what = f"{deed}: {deed.args}, version {version}"
            delta, after = {"add": (stock, stock), "move": (0, stock),
                            "remove": (-stock, 0)}[deed.op]
            operations[item].append(Op(CHANGE, deed.call, deed.ret, what, delta, after, version))
            self.add_listed(operations, deed, what, version)

    def add_listed(self, operations, deed, what, version):
        """What it means for the topics' lists. Who comes was in none; who moves or goes may have
        been in any."""
        for topic in self.topics:
            joins = deed.args.get("topic") == topic
            if joins or deed.op != "add":
                operations[listed(deed.args["item"], topic)].append(
                    Op(CHANGE, deed.call, deed.ret, what, 1 if deed.op == "add" else None,
                       int(joins), version))

    def guest_stock(self, item):
        """What it comes with. If nobody has tried to add it: more than there ever was, so that
        nobody can have moved or removed it."""
        return next((deed.args["stock"] for deed in self.all_of("add")
                     if deed.args["item"] == item), 1)

    # ---- Versions of all items -------------------------------------------------------------

    def judge_versions(self):
        """Versions are places in one log: each belongs to one operation, and an operation that
        began after another had returned has a higher one, whatever items they are of."""
        made = []
        for deed in self.deeds.values():
            versions = self.versions_of(deed)
            if len(versions) > 1:
                self.problem("versions", f"{deed}: several versions: {sorted(versions)}")
            made += [(version, deed) for version in versions]
        made.sort(key=lambda pair: pair[0])
        self.verdict.looked_at["versions"] = f"{len(made)} versions"
        self.judge_rising("versions", "version",
                          [(version, deed.call, self.settled(deed), deed)
                           for version, deed in made])

    def versions_of(self, deed):
        if deed.op == "buy":
            order = self.order_of(deed)
            return {line[4] for line in order["lines"]} if order else set()
        if deed.op in ("restock", "add", "move") and deed.done:
            return {deed.answer["version"]}
        if deed.op == "restock" and deed.unknown and deed.key in self.movement_of:
            return {self.movement_of[deed.key][0]}
        return set()

    def judge_rising(self, law, name, rows):
        """Rows (value, call, return, whose), by value: none began after a later one had returned,
        and no value is there twice."""
        last_call, last, before = -1, None, None
        for value, call, ret, whose in rows:
            if value == before:
                self.problem(law, f"{whose}: {name} {value} is not its alone")
            if ret < last_call:
                self.problem(law, f"{whose}: returned with {name} {value} before {last[1]} began, "
                                  f"which has the lower {last[0]}")
            if call > last_call:
                last_call, last = call, (value, whose)
            before = value

    # ---- Numbers ---------------------------------------------------------------------------

    def judge_numbers(self):
        rows = sorted(((number, self.deeds[key].call, self.settled(self.deeds[key]), key)
                       for key, number in self.number_of.items()), key=lambda row: row[0])
        self.verdict.looked_at["numbers"] = f"{len(rows)} orders"
        self.judge_rising("numbers", "order number", rows)
        if self.end is None:
            return
        numbers = sorted(order["number"] for order in self.end["orders"])
        last = self.end["tally"]["last_number"]
        if numbers != list(range(1, last + 1)):
            gaps = sorted(set(range(1, last + 1)) ^ set(numbers))[:10]
            self.problem("numbers", f"not each of 1 to {last} once: {len(numbers)} orders, "
                                    f"astray {gaps}")

    # ---- The end ---------------------------------------------------------------------------

    def judge_acknowledged(self):
        done = [deed for deed in self.deeds.values() if deed.done]
        self.verdict.looked_at["acknowledged"] = f"{len(done)} writes"
        for deed in done:
            if deed.op == "buy":
                self.judge_order(deed.answer["order"])
            elif deed.op == "cancel":
                self.judge_cancelled(deed)
            elif deed.op == "restock":
                self.judge_movement(deed)
        self.judge_states()

    def judge_order(self, told):
        number = told["number"]
        kept = self.end_orders.get(number)
        if kept is None:
            self.problem("acknowledged", f"order {number} is missing")
            return
        for name in ("lines", "total", "created"):
            if kept[name] != told[name]:
                self.problem("acknowledged", f"order {number}: its {name} was {told[name]}, "
                                             f"is {kept[name]}")

    def judge_cancelled(self, deed):
        told = deed.answer["order"]
        kept = self.end_orders.get(told["number"])
        if kept is None or (kept["state"], kept["cancelled"]) != (told["state"], told["cancelled"]):
            self.problem("acknowledged", f"{deed}: order {told['number']} was cancelled, at the "
                                         f"end it is {kept}")

    def judge_movement(self, deed):
        movement = self.movement_of.get(deed.key)
        if movement is None or movement[:2] != [deed.answer["version"], deed.args["change"]]:
            self.problem("acknowledged", f"{deed}: {deed.answer}, at the end it is {movement}")

    def judge_states(self):
        """What nobody can have cancelled is active, and nothing is left in between."""
        asked = {deed.args["number"] for deed in self.all_of("cancel")
                 if deed.done or deed.unknown}
        for number, order in self.end_orders.items():
            if order["state"] not in ("active", "cancelled"):
                self.problem("acknowledged", f"order {number} is {order['state']} at the end")
            if order["state"] != "active" and number not in asked:
                self.problem("acknowledged", f"order {number} is {order['state']}, and nobody has "
                                             "cancelled it")

    def judge_conservation(self):
        held = Counter()
        for order in self.end_orders.values():
            if order["state"] != "cancelled":
                held.update(sums(line[:2] for line in order["lines"]))
        told = self.sold_by_answers()
        self.verdict.looked_at["conservation"] = f"{len(self.end['items'])} items, " \
                                                 f"{sum(held.values())} pieces sold"
        for name, item in self.end["items"].items():
            for text in self.broken_conservation(int(name), item, held, told):
                self.problem("conservation", f"item {name}: {text}")
        active = sum(order["state"] == "active" for order in self.end_orders.values())
        if self.end["tally"]["active"] != active:
            self.problem("conservation", f"{active} orders are active, the tally says "
                                         f"{self.end['tally']['active']}")

    def broken_conservation(self, number, item, held, told):
        moved = sum(movement[1] for movement in item["movements"])
        tally = self.end["tally"]["sold"].get(str(number), 0)
        if number in self.history.items and item["initial"] != self.history.items[number][0]:
            yield f"began with {self.history.items[number][0]}, now with {item['initial']}"
        if item["initial"] + item["moved"] - item["sold"] != item["stock"] or item["stock"] < 0:
            yield f"initial {item['initial']} + moved {item['moved']} - sold {item['sold']} " \
                  f"is not stock {item['stock']}"
        if item["moved"] != moved:
            yield f"moved {item['moved']}, its movements are {moved}"
        if not item["sold"] == held[number] == tally:
            yield f"sold {item['sold']}, its orders hold {held[number]}, their tally is {tally}"
        if item["sold"] != told[number]:
            yield f"sold {item['sold']}, by the answers it is {told[number]}"

    def sold_by_answers(self):
        """Of each item, what the orders of known keys hold: acknowledged, or found at the end."""
        gone = {deed.args["number"] for deed in self.all_of("cancel") if deed.done}
        gone |= {number for number, order in self.end_orders.items()
                 if order["state"] == "cancelled"}
        told = Counter()
        for number in set(self.number_of.values()) - gone:
            if number in self.orders:
                told.update(sums(line[:2] for line in self.orders[number]["lines"]))
        return told

    # ---- The floor -------------------------------------------------------------------------

    def judge_floor(self, floor, least):
        """Shares are of the attempts that no window touches. What the store refused with reason
        (out of stock, cancelled already) is an answer and counts on neither side."""
        outside = Outside(self.history.windows)
        counts = {"writes": Counter(), "reads": Counter()}
        for attempt in self.history.attempts:
            kind = "writes" if attempt["op"] in WRITES else "reads"
            place = "inside " if outside.touched(attempt["from"], attempt["to"]) else ""
            counts[kind][place + fate(attempt)] += 1
        for _, rows in self.history.reads:
            for _, since, until, *_ in rows:
                place = "inside " if outside.touched(since, until) else ""
                counts["reads"][place + "ok"] += 1
        self.verdict.looked_at["floor"] = "; ".join(
            self.judge_share(kind, count, floor, least) for kind, count in counts.items())

    def judge_share(self, kind, count, floor, least):
        asked, share = share_of(count["ok"], count["failed"])
        inside, share_inside = share_of(count["inside ok"], count["inside failed"])
        if kind == "writes" and count["ok"] < least:
            self.problem("floor", f"{count['ok']} writes acknowledged outside the windows; "
                                  f"{least} are the least")
        if asked > 0 and share < floor:
            self.problem("floor", f"{kind}: {share:.4f} succeeded, the floor is {floor}")
        return (f"{kind}: {share:.4f} ({count['ok']} of {asked}; {count['denied']} denied), "
                f"in windows {share_inside:.4f} of {inside}")


def share_of(succeeded, failed):
    """How many there are, and the share that succeeded."""
    asked = succeeded + failed
    return asked, succeeded / asked if asked else 0.0


def fate(attempt):
    if attempt["outcome"] == "ok":
        return "ok"
    if attempt["outcome"] == "refused" and attempt["answer"]["type"] in VERDICTS:
        return "denied"
    return "failed"


def sums(pairs):
    """{item: quantity} of lines."""
    total = Counter()
    for item, quantity in pairs:
        total[item] += quantity
    return total


class Outside:
    """Tells which spans of time are outside of all windows. Spans are asked for in any order."""

    def __init__(self, windows):
        self.windows = []  # by time, with those that overlap joined
        for since, until, *_ in sorted(windows):
            if self.windows and since <= self.windows[-1][1]:
                self.windows[-1][1] = max(until, self.windows[-1][1])
            else:
                self.windows.append([since, until])

    def touched(self, since, until):
        low, high = 0, len(self.windows)
        while low < high:  # the first window that ends at @since or later
            middle = (low + high) // 2
            if self.windows[middle][1] < since:
                low = middle + 1
            else:
                high = middle
        return low < len(self.windows) and self.windows[low][0] <= until
