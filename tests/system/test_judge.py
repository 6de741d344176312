"""The judge of histories is judged: good histories, a bad one for each law, random ones.

PYGMY_JUDGED says how many random histories (default 60) and how many small cases for the search
(a hundred times as many).

SPDX-License-Identifier: Apache-2.0
"""

import copy
import itertools
import json
import os
import random
import subprocess
import threading
import time

import history
import laws
import linear
import model_store
import pytest
from cluster import ROOT
from linear import CHANGE, DENIAL, NEVER, READ, Op

pytestmark = pytest.mark.bare  # the judge is no program of the compiler

JUDGE = os.path.join(ROOT, "tests", "lib", "judge")
JUDGED = int(os.environ.get("PYGMY_JUDGED", "60"))
# Of the histories that are judged for speed: attempts, the share of lookups, and the most that it
# may take of one processor. It takes some 2 s, and 3 s.
LARGE = [(20000, 0.25, 10), (70000, 0.9, 15)]


def broken_laws(run, end, floor=0.0):
    return set(laws.Judge(run, end).run(floor, 1).broken())


# ---- A history by hand --------------------------------------------------------------------------


def order(number, *lines, state="active", cancelled=None):
    return {"number": number, "state": state, "lines": [list(line) for line in lines],
            "total": sum(line[1] * line[2] for line in lines), "created": f"t{number}",
            "cancelled": cancelled}


class Story:
    """A short run, told attempt by attempt; times are given."""

    def __init__(self, stock=5):
        self.run = history.History()
        self.run.items = {1: (stock, 10)}

    def read(self, process, since, until, stock, version, memory=True):
        """A lookup, as those have it who make many of them."""
        self.run.reads.append((process, [[1, since, until, stock, version, memory]]))

    def tell(self, since, until, op, key, args, outcome="unknown", answer=None):
        self.run.attempts.append({
            "process": "p", "call": len(self.run.attempts), "op": op, "key": key, "args": args,
            "from": since, "to": until, "outcome": outcome, "answer": answer or {}})

    def buy(self, since, until, key, quantity, made=None, denied=None):
        if denied is not None:
            answer = {"type": "out-of-stock", "item": 1, "requested": quantity,
                      "available": denied}
            self.tell(since, until, "buy", key, {"lines": [[1, quantity]]}, "refused", answer)
        elif made is None:
            self.tell(since, until, "buy", key, {"lines": [[1, quantity]]})
        else:
            self.tell(since, until, "buy", key, {"lines": [[1, quantity]]}, "ok",
                      {"order": copy.deepcopy(made)})


ORDERS = [order(1, (1, 3, 100, 2, 11)), order(2, (1, 2, 100, 0, 12)),
          order(3, (1, 1, 100, 3, 16)), order(4, (1, 1, 100, 2, 18))]


def good_story():
    """Five pieces: 3 and 2 are sold, one buy is denied, 4 are put in stock, order 2 is cancelled,
    one buy is not answered and was made all the same, another one was not."""
    story = Story()
    story.buy(1, 5, "a", 3, ORDERS[0])
    story.buy(6, 9, "b", 2, ORDERS[1])
    story.buy(10, 12, "c", 1, denied=0)
    story.tell(13, 15, "restock", "d", {"item": 1, "change": 2}, "ok",
               {"stock": 2, "version": 14})
    story.tell(16, 20, "cancel", "e", {"number": 2}, "ok",
               {"order": dict(ORDERS[1], state="cancelled", cancelled="t")})
    story.buy(21, 24, "f", 1, ORDERS[2])
    story.tell(25, 26, "lookup", None, {"item": 1}, "ok", {"stock": 3, "version": 16})
    story.read("bridge-1", 21, 22, 4, 15, False)
    story.read("bridge-2", 21, 22, 3, 16)
    story.read("bridge-2", 26, 28, 3, 16)
    story.read("bridge-1", 26, 27, 3, 16)
    story.buy(27, 30, "g", 1)
    story.buy(31, 34, "h", 1)
    story.buy(35, 36, "b", 2, ORDERS[1])
    end = {
        "from": 50, "to": 51,
        "items": {"1": {"initial": 5, "moved": 2, "sold": 5, "stock": 2, "version": 18,
                        "movements": [[14, 2, "d"]]}},
        "orders": copy.deepcopy(ORDERS), "keys": {"a": 1, "b": 2, "f": 3, "g": 4, "h": None},
        "tally": {"active": 3, "last_number": 4, "sold": {"1": 5}},
    }
    end["orders"][1].update(state="cancelled", cancelled="t")
    return story.run, end


def find(run, key, which=0):
    return [attempt for attempt in run.attempts if attempt["key"] == key][which]


def a_stock_that_never_was(run, end):
    """Both the answer and the end say that more was left than there can have been."""
    find(run, "f")["answer"]["order"]["lines"][0][3] = 4
    end["orders"][2]["lines"][0][3] = 4


def a_stale_read(run, _):
    """The stock of before the last buy, which had been acknowledged."""
    find(run, None)["answer"].update(stock=4, version=15)


def remember(run, process, since, until, stock, version):
    run.reads.append((process, [[1, since, until, stock, version, True]]))


def a_memory_that_outlived_a_write(run, _):
    """A cache serves what was there before the cancel, which had been acknowledged."""
    remember(run, "bridge-2", 21, 22, 2, 14)


def a_memory_behind_another_one(run, _):
    """Nobody was told yet that the buy has taken effect; but one bridge has shown it, and then
    another one shows what was before."""
    remember(run, "bridge-1", 23, 23, 4, 15)


def a_memory_of_what_never_was(run, _):
    """A version as it is, with a stock that it never had."""
    remember(run, "bridge-1", 26, 27, 4, 16)


def a_memory_of_what_is_to_come(run, _):
    """What the last buy has made, before anybody had asked for it."""
    remember(run, "bridge-1", 25, 26, 2, 18)


def an_item_that_was_not_found(run, _):
    """A cache remembers that there is none, and it has been on sale from the beginning."""
    run.attempts.append(dict(find(run, None), outcome="refused", answer={"type": "not-found"}))


def a_memory_against_a_denial(run, _):
    """It shows two pieces, which nobody was told of yet; then a buy is told that there are none."""
    find(run, "d")["from"] = 8
    remember(run, "bridge-1", 9, 9, 2, 14)


def a_version_that_lies(run, end):
    """Stock and time are right, the version of the second change is below that of the first."""
    for lines in (find(run, "f")["answer"]["order"]["lines"], end["orders"][2]["lines"]):
        lines[0][4] = 13
    find(run, None)["answer"]["version"] = 13


def a_denial_of_what_was_there(run, _):
    """There were none left all the time; it says one."""
    attempt = find(run, "c")
    attempt["args"]["lines"], attempt["answer"]["requested"] = [[1, 2]], 2
    attempt["answer"]["available"] = 1


def a_denial_without_a_reason(run, _):
    """Zero were wanted more than there were."""
    find(run, "c")["answer"]["available"] = 1


def another_answer_for_a_repetition(run, _):
    find(run, "b", 1)["answer"]["order"]["created"] = "later"


def an_effect_of_a_refused_key(run, _):
    """The buy that has order 4 was told that nothing was attempted."""
    find(run, "g").update(outcome="refused", answer={"type": "busy"})


def two_orders_for_one_key(run, end):
    """The unanswered buy was made twice; stock and sums agree with that."""
    end["orders"].append(order(5, (1, 1, 100, 1, 19)))
    end["items"]["1"].update(sold=6, stock=1, version=19)
    end["tally"].update(active=4, last_number=5, sold={"1": 6})


def a_gap_in_the_numbers(run, end):
    end["orders"][3]["number"] = end["keys"]["g"] = end["tally"]["last_number"] = 5


def numbers_against_time(run, end):
    """Order 2 was acknowledged before order 1 was asked for."""
    for attempt, number in ((find(run, "a"), 2), (find(run, "b"), 1), (find(run, "b", 1), 1)):
        attempt["answer"]["order"]["number"] = number
    find(run, "e")["args"]["number"] = find(run, "e")["answer"]["order"]["number"] = 1
    end["orders"][0]["number"], end["orders"][1]["number"] = 2, 1
    end["keys"].update(a=2, b=1)
    find(run, "a")["answer"]["order"]["created"] = end["orders"][0]["created"]


def a_lost_order(run, end):
    """The last acknowledged one is gone, as if it had never been."""
    end["orders"].pop(2)
    end["keys"]["f"] = None


def an_order_that_was_changed(run, end):
    end["orders"][0]["total"] += 1


def a_cancel_that_was_lost(run, end):
    end["orders"][1].update(state="active", cancelled=None)


def a_cancel_that_nobody_asked_for(run, end):
    end["orders"][2].update(state="cancelled", cancelled="t")


def a_restock_that_was_lost(run, end):
    end["items"]["1"].update(moved=0, movements=[])


def stock_out_of_nowhere(run, end):
    end["items"]["1"]["sold"] -= 1


def most_unknown(run, _):
    """Nobody is told anything wrong, and hardly anybody anything."""
    for attempt in run.attempts:
        if attempt["key"] not in ("b", "e"):
            attempt.update(outcome="unknown", answer={})


BAD = [
    (a_stock_that_never_was, {"linearizability"}),
    (a_stale_read, {"versions", "linearizability"}),
    (a_memory_that_outlived_a_write, {"versions", "linearizability"}),
    (a_memory_behind_another_one, {"versions", "linearizability"}),
    (a_memory_of_what_never_was, {"versions", "linearizability"}),
    (a_memory_of_what_is_to_come, {"versions", "linearizability"}),
    (an_item_that_was_not_found, {"linearizability"}),
    (a_version_that_lies, {"versions"}),
    (a_denial_of_what_was_there, {"denials"}),
    (a_denial_without_a_reason, {"denials"}),
    (a_memory_against_a_denial, {"denials"}),
    (another_answer_for_a_repetition, {"keys"}),
    (an_effect_of_a_refused_key, {"keys"}),
    (two_orders_for_one_key, {"keys"}),
    (a_gap_in_the_numbers, {"numbers"}),
    (numbers_against_time, {"numbers"}),
    (a_lost_order, {"acknowledged"}),
    (an_order_that_was_changed, {"acknowledged"}),
    (a_cancel_that_was_lost, {"acknowledged"}),
    (a_cancel_that_nobody_asked_for, {"acknowledged"}),
    (a_restock_that_was_lost, {"acknowledged"}),
    (stock_out_of_nowhere, {"conservation"}),
    (most_unknown, {"floor"}),
]


def test_a_good_history_is_clean():
    """With its end and without it."""
    run, end = good_story()
    verdict = laws.Judge(run, end).run(0.7, 1)
    assert verdict.broken() == [], verdict.problems
    assert broken_laws(run, None) == set()


@pytest.mark.parametrize("spoil, expected", BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_each_law_is_held(spoil, expected):
    """The same history with one thing wrong breaks the law that this is about."""
    run, end = good_story()
    spoil(run, end)
    assert broken_laws(run, end, floor=0.7) & expected


GUEST = {"item": 2, "stock": 5, "topic": "old"}
LISTED = "2 in old"


def a_guest():
    """An item that comes, is shown by a look-up and by a list, goes, and is not there; and those
    are told so who come in vain."""
    story = Story()
    story.run.items.update({2: (0, 0), LISTED: (0, 0), "2 in new": (0, 0)})
    story.rows = [[2, 1, 2, 0, None, True], [2, 3, 4, 0, None, True], [2, 5, 6, 5, 12, True],
                  [LISTED, 7, 8, 1, None, True], [2, 15, 16, 0, None, True],
                  [LISTED, 15, 16, 0, None, True]]
    story.run.reads.append(("bridge-1", story.rows))
    story.tell(3, 5, "add", "a", GUEST, "ok", {"stock": 5, "version": 12, "replayed": False})
    story.tell(8, 9, "add", "b", GUEST, "refused", {"type": "exists"})
    story.tell(10, 12, "remove", "c", {"item": 2}, "ok", {"replayed": False})
    story.tell(13, 14, "remove", "d", {"item": 2}, "refused", {"type": "not-found"})
    story.tell(17, 18, "add", "e", GUEST)
    return story


def test_a_guest_comes_and_goes():
    """As it should; whether the last one has come nobody knows, and both is fine."""
    assert broken_laws(a_guest().run, None) == set()
    for name, stock, version in ((2, 0, None), (2, 5, 20), (2, 5, None), (LISTED, 0, None),
                                 (LISTED, 1, None)):
        story = a_guest()
        story.rows.append([name, 19, 20, stock, version, True])
        assert broken_laws(story.run, None) == set()


@pytest.mark.parametrize("row", [
    [2, 6, 7, 0, None, True],  # a cache remembers that there is none
    [2, 13, 14, 5, 12, True],  # or the item, when it has gone
    [LISTED, 6, 7, 0, None, True],  # or the list without it
    [LISTED, 13, 14, 1, None, True],  # or the list that had it
    ["2 in new", 6, 7, 1, None, True],  # a list that it has never been in
    [LISTED, 19, 20, 2, None, True],
    [2, 1, 2, 5, None, False],  # nobody had come yet
    [LISTED, 1, 2, 1, None, False],
    [2, 19, 20, 5, 12, True],  # the last one is not the first
    [2, 6, 7, 3, 12, True],
])
def test_what_is_remembered_of_a_guest_is_judged(row):
    story = a_guest()
    story.rows.append(row)
    assert broken_laws(story.run, None) & {"linearizability", "versions"}


def test_a_guest_that_was_refused_in_vain_is_judged():
    """It was told that there is one already, or that there is none, when that was never so."""
    for key, answer in (("a", "exists"), ("c", "not-found")):
        story = a_guest()
        find(story.run, key).update(outcome="refused", answer={"type": answer})
        assert "linearizability" in broken_laws(story.run, None)


MOVES = {"2 in old": [(3, 1), (8, 0), (12, 0)], "2 in new": [(3, 0), (8, 1), (12, 0)]}


def a_move():
    """A guest comes to one topic, is moved to another one, and goes; both lists are seen."""
    story = Story()
    story.run.items.update({2: (0, 0), "2 in old": (0, 0), "2 in new": (0, 0)})
    story.tell(1, 2, "add", "a", GUEST, "ok", {"stock": 5, "version": 12, "replayed": False})
    story.tell(3, 7, "move", "b", {"item": 2, "topic": "new"}, "ok",
               {"stock": 5, "version": 13, "replayed": False})
    story.tell(10, 11, "remove", "c", {"item": 2}, "ok", {"replayed": False})
    story.tell(13, 14, "move", "d", {"item": 2, "topic": "old"}, "refused", {"type": "not-found"})
    story.rows = [[2, 4, 4, 5, 12, True], [2, 8, 8, 5, 13, True],
                  *([name, moment, moment, stock, None, True]
                    for name, seen in MOVES.items() for moment, stock in seen)]
    story.run.reads.append(("bridge-1", story.rows))
    return story


def test_a_guest_moves_to_another_topic():
    """While it moves the lists may or may not have it; if nobody heard an answer, ever after."""
    assert broken_laws(a_move().run, None) == set()
    for old, new in (1, 0), (0, 1):
        story = a_move()
        story.rows += [["2 in old", 5, 6, old, None, True], ["2 in new", 5, 6, new, None, True]]
        assert broken_laws(story.run, None) == set()
        story = a_move()
        story.run.attempts = story.run.attempts[:2]  # it does not go
        story.rows[:] = [row for row in story.rows if row[1] < 12]
        story.tell(10, 11, "move", "e", {"item": 2, "topic": "old"})
        story.rows += [["2 in old", 20, 21, old, None, True], ["2 in new", 20, 21, new, None, True]]
        assert broken_laws(story.run, None) == set()


@pytest.mark.parametrize("row", [
    ["2 in old", 8, 9, 1, None, True],  # a list that still has who has left for another topic
    ["2 in new", 8, 9, 0, None, True],  # one that has not yet who has come
    ["2 in new", 12, 13, 1, None, True],  # one that still has who was removed
    ["2 in old", 15, 16, 1, None, True],  # who was told that there was none did not move it
    ["2 in new", 1, 2, 1, None, True],  # nobody had asked for the move yet
    [2, 8, 9, 5, 12, True],  # the item as it was in the other topic
])
def test_a_list_that_is_out_of_date_is_judged(row):
    story = a_move()
    story.rows.append(row)
    assert broken_laws(story.run, None) & {"linearizability", "versions"}


def test_a_list_that_falls_behind_another_reading_of_it_is_judged():
    """The move is under way, so that either is right; but not back again."""
    story = a_move()
    story.rows += [["2 in old", 4, 4, 0, None, True], ["2 in old", 5, 5, 1, None, True]]
    assert "linearizability" in broken_laws(story.run, None)


@pytest.mark.parametrize("op, args", [("remove", {"item": 3}),
                                      ("move", {"item": 3, "topic": "old"})])
def test_what_nobody_has_tried_to_add_is_neither_moved_nor_removed(op, args):
    """Not knowing the outcome is fine; it was done, is not."""
    for outcome, answer, expected in (
            ("unknown", None, set()), ("refused", {"type": "not-found"}, set()),
            ("ok", {"stock": 5, "version": 11, "replayed": False}, {"linearizability"})):
        story = a_guest()
        story.run.items.update({3: (0, 0), "3 in old": (0, 0)})
        story.tell(1, 2, op, "x", args, outcome, answer)
        story.rows.append([3, 19, 20, 0, None, True])
        assert broken_laws(story.run, None) == expected, outcome


def two_items(versions):
    """A buy of two items and, after it, one of the second alone; with these versions."""
    story = Story()
    story.run.items[2] = (5, 10)
    both = order(1, (1, 1, 100, 4, versions[0]), (2, 1, 100, 4, versions[1]))
    story.tell(1, 2, "buy", "a", {"lines": [[1, 1], [2, 1]]}, "ok", {"order": both})
    story.tell(3, 4, "restock", "b", {"item": 1, "change": 1}, "ok",
               {"stock": 5, "version": versions[2]})
    story.tell(5, 6, "restock", "c", {"item": 2, "change": 1}, "ok",
               {"stock": 5, "version": versions[3]})
    return story.run


@pytest.mark.parametrize("versions, expected", [
    ((11, 11, 12, 14), set()),
    ((11, 12, 13, 14), {"versions"}),  # one purchase in two places of the log
    ((11, 11, 14, 13), {"versions"}),  # right on each item, against time over both
    ((11, 11, 12, 12), {"versions"}),  # two operations in one place
])
def test_versions_are_places_in_one_log(versions, expected):
    """What no item shows by itself: versions of different items are in one order."""
    assert broken_laws(two_items(versions), None) == expected


# ---- The search against all orders there are ----------------------------------------------------


def explained(ops, stock, version):
    """Whether some order of the operations explains them, found by trying all of them."""
    wanted = [op for op in ops if op.ret != NEVER]
    open_ones = [op for op in ops if op.ret == NEVER]
    for count in range(len(open_ones) + 1):
        for some in itertools.combinations(open_ones, count):
            if goes_on([], wanted + list(some), stock, version, {version}):
                return True
    return False


def goes_on(taken, left, stock, version, used):
    """@version: the present one, None while nobody has told it. @used: all that were told."""
    if not left:
        return True
    for op in left:
        if any(other.ret < op.call for other in left if other is not op):
            continue
        rest = [other for other in left if other is not op]
        if op.kind is CHANGE:
            after = op.stock if op.delta is None else stock + op.delta
            if after < 0 or op.stock not in (None, after):
                continue
            if op.version is not None and op.version <= max(used):
                continue
            told = used | {op.version} if op.version is not None else used
            if goes_on(taken + [op], rest, after, op.version, told):
                return True
        elif op.stock == stock:
            now_version, told = version, used
            if op.version is not None:
                if version is None and op.version > max(used):
                    now_version, told = op.version, used | {op.version}
                elif version != op.version:
                    continue
            if goes_on(taken + [op], rest, stock, now_version, told):
                return True
    return False


def random_case(rng):
    """A few operations of a right item, some with an answer that was tampered with."""
    stock, version, time_now, ops = rng.randint(0, 4), 10, 0, []
    first = stock
    for number in range(rng.randint(2, 6)):
        time_now += rng.randint(1, 4)
        call, ret = max(0, time_now - rng.randint(0, 8)), time_now + rng.randint(0, 8)
        kind = rng.choice((CHANGE, CHANGE, CHANGE, READ, DENIAL))
        if kind is CHANGE:
            delta, how = rng.choice((-2, -1, 1, 2)), \
                rng.choice(("told", "told", "silent", "version", "open", "stock"))
            if stock + delta < 0:
                kind = DENIAL
            else:
                stock, version = stock + delta, version + rng.randint(1, 2)
                if how in ("told", "stock") and rng.random() < 0.3:
                    delta = None  # it says what the stock is then, whatever it was
                ops.append(Op(CHANGE, call, NEVER if how == "open" else ret, f"op {number}", delta,
                              stock if how in ("told", "stock") else None,
                              version if how in ("told", "version") else None))
                continue
        ops.append(Op(kind, call, ret, f"op {number}", stock=stock,
                      version=version if kind is READ else None))
        if kind is READ and len(ops) < 6:  # more that see the same
            for since in (max(0, call + rng.randint(-2, 4)) for _ in range(rng.randint(0, 2))):
                ops.append(Op(READ, since, since + rng.randint(0, 6), f"op {number}+", stock=stock,
                              version=version))
    for op in rng.sample(ops, rng.choice((0, 1, 1, 2))):
        name = rng.choice([n for n in ("stock", "version") if getattr(op, n) is not None] or [None])
        if name is not None:
            setattr(op, name, max(0, getattr(op, name) + rng.choice((-2, -1, 1, 2))))
    return ops, first


def test_the_search_agrees_with_all_orders():
    """On small cases, right ones and wrong ones, it says what trying all orders says."""
    rng = random.Random(1)
    said = {True: 0, False: 0}
    for number in range(100 * JUDGED):
        ops, stock = random_case(rng)
        right = explained(ops, stock, 10)
        stuck = linear.search(ops, stock, 10)
        assert (stuck is None) == right, (number, stock, [describe(op) for op in ops], str(stuck))
        silent = copy.deepcopy(ops)
        for op in silent:
            op.version = None
        assert (linear.search(ops, stock, 10, versions=False) is None) == \
            explained(silent, stock, 10), (number, stock, [describe(op) for op in ops])
        said[right] += 1
    assert min(said.values()) > 5 * JUDGED, said


def describe(op):
    return op.kind, op.call, op.ret, op.delta, op.stock, op.version


# ---- Random histories ---------------------------------------------------------------------------


def test_random_valid_histories_are_clean():
    """Of a right store with customers at once, lost requests, late effects and repetitions."""
    for seed in range(JUDGED):
        run, end = model_store.run(seed)
        verdict = laws.Judge(run, end).run(0.0, 1)
        assert verdict.broken() == [], (seed, verdict.problems)


def done(run, op):
    return [attempt for attempt in run.attempts
            if attempt["op"] == op and attempt["outcome"] == "ok"]


def read_more(run, end, rng):
    """A read sees a piece more than there can be at its version, which the end or a buy tells."""
    made = {(line[0], line[4]) for order in end["orders"] for line in order["lines"]}
    reads = [a for a in done(run, "lookup") if (a["args"]["item"], a["answer"]["version"]) in made]
    rng.choice(reads)["answer"]["stock"] += 1


def remember_the_past(run, end, rng):
    """A cache shows what an acknowledged change had replaced before it was asked."""
    change = rng.choice(done(run, "restock"))
    answer, asked = change["answer"], change["args"]
    row = [asked["item"], change["to"] + 1, rng.randint(change["to"] + 1, end["from"]),
           answer["stock"] - asked["change"], answer["version"] - 1, True]
    run.reads.append(("bridge-1", [row]))


def remember_too_long(run, end, rng):
    """A cache shows once more what it has shown, after another one has shown something later."""
    rows = sorted((row for _, rows in run.reads for row in rows), key=lambda row: row[2])
    pairs = [(old, new) for old, new in itertools.combinations(rows, 2)
             if old[0] == new[0] and old[4] < new[4]]
    if pairs:
        old, new = rng.choice(pairs)
        run.reads.append(("bridge-1", [[old[0], new[2] + 1, new[2] + 1, *old[3:5], True]]))
    else:
        remember_the_past(run, end, rng)


def read_the_past(run, end, rng):
    """A read sees what an acknowledged change had replaced before it began."""
    change = rng.choice(done(run, "restock"))
    item, version = change["args"]["item"], change["answer"]["version"]
    late = [a for a in done(run, "lookup") if a["args"]["item"] == item
            and a["from"] > change["to"]]
    if late:
        rng.choice(late)["answer"].update(
            stock=change["answer"]["stock"] - change["args"]["change"], version=version - 1)
    else:
        read_more(run, end, rng)


def restock_too_much(run, _, rng):
    """An acknowledged change of stock has made more of it than the cancels that were under way can
    explain. (One piece more they sometimes can: then the history is still a valid one.)"""
    key = rng.choice(done(run, "restock"))["key"]
    for change in done(run, "restock"):
        if change["key"] == key:
            change["answer"]["stock"] += 100


def deny_what_never_was(run, _, rng):
    """A denial tells a stock that is far above whatever there was."""
    denied = [a for a in run.attempts if a["op"] == "buy" and a["outcome"] == "refused"]
    key = rng.choice(denied)["key"]
    for attempt in denied:
        if attempt["key"] == key:
            attempt["answer"]["available"] += 10**6


def swap_numbers(run, end, rng):
    """Two acknowledged orders, one after the other, exchange their numbers."""
    first, second = apart(run, rng)
    old = [a["answer"]["order"]["number"] for a in (first, second)]
    change = {old[0]: old[1], old[1]: old[0]}
    for row in [a["answer"]["order"] for a in done(run, "buy") + done(run, "cancel")] + \
            end["orders"]:
        row["number"] = change.get(row["number"], row["number"])
    for attempt in run.attempts:
        if attempt["op"] == "cancel":
            number = attempt["args"]["number"]
            attempt["args"] = {"number": change.get(number, number)}
    end["keys"].update({key: change.get(number, number) for key, number in end["keys"].items()})


def swap_versions(run, end, rng):
    """The same with the versions that they have made."""
    first, second = apart(run, rng)
    versions = [a["answer"]["order"]["lines"][0][4] for a in (first, second)]
    change = dict(zip(versions, reversed(versions)))
    for row in [a["answer"]["order"] for a in done(run, "buy") + done(run, "cancel")] + \
            end["orders"]:
        row["lines"] = [line[:4] + [change.get(line[4], line[4])] for line in row["lines"]]


def apart(run, rng):
    """Two buys of which one had returned before the first call of the other's key."""
    calls, returns = {}, {}
    for attempt in run.attempts:
        if attempt["op"] == "buy":
            key = attempt["key"]
            calls[key] = min(calls.get(key, attempt["from"]), attempt["from"])
    for attempt in done(run, "buy"):
        returns.setdefault(attempt["key"], attempt)
    first = rng.choice(list(returns.values())[:10])
    return first, rng.choice([a for key, a in returns.items() if calls[key] > first["to"]])


def forget_an_order(run, end, rng):
    key = rng.choice(done(run, "buy"))["key"]
    end["orders"] = [o for o in end["orders"] if o["number"] != end["keys"][key]]
    end["keys"][key] = None


def sell_one_more(run, end, rng):
    rng.choice(list(end["items"].values()))["sold"] += 1


def answer_otherwise(run, _, rng):
    """A repetition of a key is told another price."""
    attempt = copy.deepcopy(rng.choice(done(run, "buy")))
    attempt["answer"]["order"]["total"] += 1
    attempt["to"] = attempt["to"] + 1
    run.attempts.append(attempt)


MUTATIONS = [
    (read_more, {"versions", "linearizability"}),
    (read_the_past, {"versions", "linearizability"}),
    (remember_the_past, {"versions", "linearizability"}),
    (remember_too_long, {"versions", "linearizability"}),
    (restock_too_much, {"versions", "linearizability"}),
    (deny_what_never_was, {"denials"}),
    (swap_numbers, {"numbers"}),
    (swap_versions, {"versions"}),
    (forget_an_order, {"acknowledged"}),
    (sell_one_more, {"conservation"}),
    (answer_otherwise, {"keys"}),
]


@pytest.mark.parametrize("mutate, expected", MUTATIONS,
                         ids=lambda value: getattr(value, "__name__", ""))
def test_random_histories_with_one_answer_changed_are_rejected(mutate, expected):
    """Each mutation is one that no order of events explains; it breaks a law that it is about."""
    for seed in range(JUDGED):
        run, end = model_store.run(seed, attempts=300)
        mutate(run, end, random.Random(seed))
        assert broken_laws(run, end) & expected, seed


@pytest.mark.parametrize("attempts, lookups, cpu_s_max", LARGE)
def test_a_large_history_is_judged_in_time(attempts, lookups, cpu_s_max):
    """Sixteen customers on three items, one of which is nearly always sold out."""
    run, end = model_store.run(1, attempts=attempts, customers=16, lookups=lookups)
    began = time.process_time()
    assert broken_laws(run, end) == set()
    assert time.process_time() - began < cpu_s_max


# ---- Windows and the floor ----------------------------------------------------------------------


def test_what_a_window_touches_is_on_neither_side():
    """Begun in it, ended in it, or gone on through it; windows that overlap are one."""
    outside = laws.Outside([(10, 20, "a"), (15, 30, "b"), (50, 60, "c")])
    for since, until, touched in ((1, 9, False), (1, 10, True), (20, 25, True), (30, 40, True),
                                  (31, 49, False), (1, 100, True), (55, 56, True), (61, 62, False)):
        assert outside.touched(since, until) is touched, (since, until)


def test_the_floor_is_of_what_is_outside_of_windows():
    """A failure in a window does not count, nor does a success; enough has to be outside."""
    run, end = good_story()
    run.windows = [(27, 34, "kill")]  # both unknown buys
    assert broken_laws(run, end, floor=1.0) == set()
    run.windows = [(1, 24, "kill")]
    assert broken_laws(run, end, floor=0.5) == {"floor"}
    run.windows = [(1, 49, "kill")]
    assert broken_laws(run, end, floor=0.0) == {"floor"}


# ---- The recorder and the program ---------------------------------------------------------------


def record(path, seed=3):
    """A history of one key, by two threads at once that repeat it."""
    recorder = history.Recorder(path, seed)
    recorder.item(1, 5, 10)
    recorder.many_reads("bridge-1", [[1, 5, 6, 5, 10, True], [1, 6, 8, 5, 10, False]])
    answer = {"stock": 7, "version": 11, "replayed": False}

    def customer(name):
        with recorder.attempt(name, "restock", "k", {"item": 1, "change": 2}) as attempt:
            attempt.ok(dict(answer, replayed=name == "b"))
        with pytest.raises(ZeroDivisionError), recorder.attempt(name, "lookup", None, {"item": 1}):
            raise ZeroDivisionError()

    threads = [threading.Thread(target=customer, args=name) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()


def judge(*arguments):
    return subprocess.run([JUDGE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False)


def test_what_is_recorded_is_read_and_judged(tmp_path):
    """Times enclose the call, an attempt that ended by an exception is unknown, the program says
    clean."""
    path = tmp_path / "history.jsonl"
    began = time.monotonic_ns()
    record(path)
    run = history.read(path)
    assert run.seed == 3 and run.items == {1: (5, 10)} and len(run.attempts) == 4
    assert run.reads == [("bridge-1", [[1, 5, 6, 5, 10, True], [1, 6, 8, 5, 10, False]])]
    for attempt in run.attempts:
        assert began <= attempt["from"] <= attempt["to"] <= time.monotonic_ns()
        assert attempt["outcome"] == ("ok" if attempt["op"] == "restock" else "unknown")
    result = judge(path, "--floor", "0")
    assert result.returncode == 0 and "verdict: clean" in result.stdout, result


def test_an_error_is_unknown_or_refused_by_its_type(tmp_path):
    """HTTP's types have a prefix; a denial keeps its numbers."""
    recorder = history.Recorder(tmp_path / "history.jsonl", 1)
    for error, outcome, answer in (
            ({"type": "timeout"}, "unknown", {"type": "timeout"}),
            ({"type": "urn:pygmy:problem:unknown-outcome"}, "unknown", {"type": "unknown-outcome"}),
            (None, "unknown", {}),
            ({"type": "busy", "detail": "x"}, "refused", {"type": "busy"}),
            ({"type": "urn:pygmy:problem:out-of-stock", "id": 1, "requested": 3, "available": 0},
             "refused", {"type": "out-of-stock", "item": 1, "requested": 3, "available": 0})):
        with recorder.attempt("p", "buy", "k", {"lines": [[1, 3]]}) as attempt:
            attempt.failed(error)
        assert (attempt.outcome, attempt.answer) == (outcome, answer)
    recorder.close()


def test_the_program_says_clean_violated_or_cannot_say(tmp_path):
    """Status 0, 1 and 2; a verdict names the laws, a history that was cut off is none."""
    path, final = tmp_path / "history.jsonl", tmp_path / "final.json"
    run, end = good_story()
    save(run, path)
    final.write_text(json.dumps(end))
    result = judge(path, "--final", final, "--floor", "0.7")
    assert result.returncode == 0 and "verdict: clean" in result.stdout, result
    result = judge(path, "--final", final, "--floor", "0.99")
    assert result.returncode == 1 and "verdict: violated: floor" in result.stdout, result
    end["orders"].pop()
    final.write_text(json.dumps(end))
    result = judge(path, "--final", final, "--floor", "0.7")
    assert result.returncode == 1 and "numbers" in result.stdout.splitlines()[-1], result
    lines = path.read_text().splitlines(keepends=True)
    reads = next(i for i, line in enumerate(lines) if '"reads"' in line)
    for text in ("", "".join(lines[:-1]), "".join(lines[:3] + lines[4:]), "".join(lines[1:]),
                 "".join(lines[:reads] + lines[reads + 1:]), "nonsense\n",
                 "".join(lines).replace("[1,26,27,3,16,true]", "[1,27,26,3,16,true]"),
                 "".join(lines).replace("[1,26,27,3,16,true]", "[1,26,27,null,16,true]")):
        path.write_text(text)
        result = judge(path)
        assert result.returncode == 2 and "judge: " in result.stderr, (text, result)
    for arguments in ((), (path, "--floor", "2"), (path, "--nonsense"), (tmp_path / "absent",)):
        assert judge(*arguments).returncode == 2, arguments


def save(run, path):
    recorder = history.Recorder(path, 1)
    for item, (stock, version) in run.items.items():
        recorder.item(item, stock, version)
    for attempt in run.attempts:
        recorder.write(attempt)
    for process, rows in run.reads:
        recorder.many_reads(process, rows)
    recorder.attempts = len(run.attempts)
    recorder.close()
