"""Histories: what a load run asked of a store and what it was told, and when.

A history is a file of JSON lines, in the order in which things ended:

    {"record": "start", "format": 3, "seed": 7}
    {"record": "item", "id": 1, "stock": 50, "version": 3}    on sale before the first operation
    {"process": "http-1", "call": 8, "op": "buy", "key": "k8", "args": {"lines": [[1, 2]]},
     "from": 123, "to": 456, "outcome": "ok", "answer": {...}}                     one attempt
    {"record": "reads", "process": "bridge-1", "rows": [[1, 123, 456, 48, 9, true], ...]}
                                                               many lookups, each of them answered
    {"record": "window", "what": "kill broker-1", "from": 100, "to": 900}          a disturbance
    {"record": "end", "attempts": 1, "reads": 1}              without it, the history was cut off

Times are nanoseconds of CLOCK_MONOTONIC; "from" is taken before the request was sent, "to" after
its answer was received. An attempt has one of three outcomes:

    ok       done, as "answer" says
    refused  definitely not done by this attempt; "answer" has the "type" of the refusal
    unknown  it may have taken effect, or may take effect at any time from "from" on; only another
             attempt with the same key, or the end of the store, can tell

The operations, their arguments and the essentials of their answers:

    buy      {"lines": [[item, quantity], ...]}  {"order": ORDER, "replayed": bool}
    cancel   {"number": n}                       {"order": ORDER, "replayed": bool}
    restock  {"item": i, "change": c}            {"stock": s, "version": v, "replayed": bool}
             the reason of the movement is the key, so that movements tell whose they are
    lookup   {"item": i}                         {"stock": s, "version": v, "memory": bool}; no key

    add      {"item": i, "stock": s, "topic": t} {"stock": s, "version": v, "replayed": bool}
    move     {"item": i, "topic": t}             {"stock": s, "version": v, "replayed": bool}
    remove   {"item": i}                         {"replayed": bool}

A lookup tells whether it was answered from memory, under a lease, by who was asked. A row of reads
is such a lookup: item, from, to, stock, version, memory; those that failed are attempts. An item
that is not there has a stock of 0, and no version (null). "item" with stock and version 0: it is
not there in the beginning.

That an item is in the list of a topic is an item of its own, by the name that listed() gives it. It
has no version, and a stock of 1 where the list has the item, of 0 where a whole list has it not.

ORDER is {"number", "state", "lines": [[item, quantity, price, stock left, version], ...],
"total", "created", "cancelled"}. A denial, {"type": "out-of-stock"}, has "item", "requested",
"available" as well. Answers may have a "log_time".

SPDX-License-Identifier: Apache-2.0
"""

import json
import threading
import time

FORMAT = 3
WRITES = ("buy", "cancel", "restock", "add", "move", "remove")
OPERATIONS = WRITES + ("lookup",)
OUTCOMES = ("ok", "refused", "unknown")

# The types of errors after which nobody can say whether the operation took effect.
UNKNOWN_TYPES = frozenset(("timeout", "worker-lost", "unknown-outcome", "internal"))

now = time.monotonic_ns


def listed(item, topic):
    """The name of an item's place in the list of a topic."""
    return f"{item} in {topic}"


def order_essentials(order):
    """An order of the store, as histories have it."""
    return {
        "number": order["order_number"],
        "state": order["state"],
        "lines": [[line["id"], line["quantity"], line["price_cents"], line["stock_left"],
                   line["version"]] for line in order["lines"]],
        "total": order["total_cents"],
        "created": order["created_at"],
        "cancelled": order["cancelled_at"],
    }


def refusal_essentials(error):
    """An error of the store, as histories have it: the type alone, and what a denial says."""
    kept = {"type": error["type"].rpartition(":")[2]}
    for name, member in (("item", "id"), ("requested", "requested"), ("available", "available")):
        if member in error:
            kept[name] = error[member]
    return kept


class Attempt:
    """An attempt under way: the recorder's `with` gives it, ok() or failed() says what came of it.
    If neither is called, however that comes about, the outcome is unknown."""

    __slots__ = ("row",)

    def __init__(self, row):
        self.row = row

    def ok(self, answer):
        self.row.update(to=now(), outcome="ok", answer=answer)

    def failed(self, error):
        """@error: the store's, {"type": ...}, or None if there was no answer."""
        answer = refusal_essentials(error) if error else {}
        known = answer and answer["type"] not in UNKNOWN_TYPES
        self.row.update(to=now(), outcome="refused" if known else "unknown", answer=answer)

    @property
    def outcome(self):
        return self.row["outcome"]

    @property
    def answer(self):
        return self.row["answer"]


class Recorder:
    """Writes a history. Any thread may record; each attempt is one line, written when it ends."""

    def __init__(self, path, seed):
        self.path = path
        self.file = open(path, "w", encoding="utf-8", buffering=1 << 16)
        self.lock = threading.Lock()
        self.calls = 0
        self.attempts = 0
        self.reads = 0
        self.done = 0  # writes that were acknowledged: what others may wait for
        self.write({"record": "start", "format": FORMAT, "seed": seed})

    def write(self, row):
        line = json.dumps(row, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(line)

    def item(self, item, stock, version):
        self.write({"record": "item", "id": item, "stock": stock, "version": version})

    def window(self, what, since, until):
        self.write({"record": "window", "what": what, "from": since, "to": until})

    def many_reads(self, process, rows):
        """Lookups that were answered, as the format has them."""
        self.write({"record": "reads", "process": process, "rows": rows})
        with self.lock:
            self.reads += len(rows)

    def ended(self, row):
        """An attempt, as the format has it."""
        line = json.dumps(row, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(line)
            self.attempts += 1
            self.done += row["outcome"] == "ok" and row["op"] in WRITES

    def attempt(self, process, op, key, args):
        """with recorder.attempt(...) as attempt: send; receive; attempt.ok(...)"""
        return _Recording(self, process, op, key, args)

    def close(self):
        self.write({"record": "end", "attempts": self.attempts, "reads": self.reads})
        self.file.close()


class _Recording:
    def __init__(self, recorder, process, op, key, args):
        self.recorder = recorder
        with recorder.lock:
            recorder.calls += 1
            call = recorder.calls
        self.attempt = Attempt({"process": process, "call": call, "op": op, "key": key,
                                "args": args, "from": 0, "to": 0, "outcome": "unknown",
                                "answer": {}})

    def __enter__(self):
        self.attempt.row["from"] = now()
        return self.attempt

    def __exit__(self, *_):
        row = self.attempt.row
        row["to"] = row["to"] or now()
        self.recorder.ended(row)


class BadHistory(Exception):
    """The file is no history, or only a part of one: nothing can be said about it."""


class History:
    """A history as it was read."""

    def __init__(self):
        self.seed = None
        self.items = {}  # id: (stock, version)
        self.attempts = []
        self.reads = []  # (process, rows)
        self.windows = []  # (from, to, what), by time

    def lookups(self):
        """All that were answered: item, from, to, stock, version, memory, and who they are."""
        for attempt in self.attempts:
            if attempt["op"] == "lookup" and attempt["outcome"] == "ok":
                answer = attempt["answer"]
                yield (attempt["args"]["item"], attempt["from"], attempt["to"], answer["stock"],
                       answer["version"], answer.get("memory", False), f"call {attempt['call']}")
        for process, rows in self.reads:
            for row in rows:
                yield *row, process


def read(path):
    """The history in a file. Raises BadHistory."""
    history, ended = History(), None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                if ended is not None:
                    raise BadHistory("there is something after the end")
                ended = _take(history, row, number)
            except (ValueError, KeyError, TypeError, BadHistory) as error:
                raise BadHistory(f"{path}:{number}: {error!r}") from None
    if ended is None:
        raise BadHistory(f"{path}: cut off: it has no end")
    found = len(history.attempts), sum(len(rows) for _, rows in history.reads)
    if ended != found:
        raise BadHistory(f"{path}: {found} attempts and reads, the end counts {ended}")
    history.windows.sort()
    return history


def _take(history, row, number):
    """Take one line in. Returns the numbers of attempts and of reads if it is the end."""
    record = row.get("record")
    if number == 1 or record == "start":
        if number != 1 or record != "start" or row["format"] != FORMAT:
            raise BadHistory(f"a history of format {FORMAT} begins with its start")
        history.seed = row["seed"]
    elif record == "item":
        history.items[row["id"]] = (row["stock"], row["version"])
    elif record == "reads":
        _check_reads(row["rows"])
        history.reads.append((row["process"], row["rows"]))
    elif record == "window":
        history.windows.append((row["from"], row["to"], row["what"]))
    elif record == "end":
        return row["attempts"], row["reads"]
    elif record is None:
        _check_attempt(row)
        history.attempts.append(row)
    else:
        raise BadHistory(f"no record '{record}'")
    return None


def _check_reads(rows):
    for _, since, until, stock, version, memory in rows:
        if not 0 <= since <= until or memory not in (True, False):
            raise BadHistory("it ended before it began, or was neither from memory nor not")
        if not isinstance(stock, int) or not isinstance(version, (int, type(None))):
            raise BadHistory("a read without a stock")


def _check_attempt(row):
    if row["op"] not in OPERATIONS or row["outcome"] not in OUTCOMES:
        raise BadHistory(f"no operation '{row['op']}' or no outcome '{row['outcome']}'")
    if row["op"] in WRITES and not row["key"]:
        raise BadHistory("a write without a key")
    if not 0 <= row["from"] <= row["to"]:
        raise BadHistory("it ended before it began")
    if row["outcome"] == "refused" and "type" not in row["answer"]:
        raise BadHistory("a refusal without a type")
    if not isinstance(row["args"], dict) or not isinstance(row["answer"], dict):
        raise BadHistory("arguments and answer are objects")
