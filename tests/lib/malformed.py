"""What no peer should ever send: bodies, frames, bytes on the bus, and bytes over HTTP.

SPDX-License-Identifier: Apache-2.0
"""

import glob
import json
import os
import random

import bus

CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz", "corpus")

# Each of these is no request, whoever gets it.
BODIES = {
    "nothing": b"",
    "blank": b" \n",
    "a list": b"[]",
    "a text": b'"op"',
    "a number": b"1",
    "null": b"null",
    "cut off": b'{"op":"time"',
    "cut off in a text": b'{"op":"ti',
    "two objects": b'{"op":"ping"}{"op":"ping"}',
    "a comma too many": b'{"op":"ping",}',
    "a comment": b'{"op":"ping"} // x',
    "single quotes": b"{'op':'ping'}",
    "a mark": b'\xef\xbb\xbf{"op":"ping"}',
    "zeros": b"\0" * 100,
    "a zero behind": b'{"op":"ping"}\0',
    "a byte above ASCII": b'{"op":"ping","request_id":"\xff"}',
    "half a character": b'{"op":"ping","request_id":"\xc3"}',
    "a character in too many bytes": b'{"op":"ping","request_id":"\xc0\xaf"}',
    "half a pair": b'{"op":"ping","request_id":"\\ud800"}',
    "the character zero": b'{"op":"ping\\u0000"}',
    "a doubled member": b'{"op":"ping","op":"ping"}',
    "a doubled member within": b'{"op":"ping","x":{"y":1,"y":1}}',
    "a number above all": b'{"op":"ping","x":1e999}',
    "an integer above 64 bits": b'{"op":"ping","x":' + b"9" * 400 + b"}",
    "not a number": b'{"op":"ping","x":NaN}',
    "deep lists": b'{"op":' + b"[" * 100000,
    "deep lists, closed": b'{"op":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep objects": b'{"op":' * 50000,
    "a little too deep": b'{"op":"ping","x":' + b"[" * 40 + b"]" * 40 + b"}",
    "an op that is none": b'{"op":"no-such-op"}',
    "an op of 100,000": b'{"op":"' + b"x" * 100000 + b'"}',
    "an op that is a number": b'{"op":1}',
    "an op that is a list": b'{"op":["ping"]}',
    "no op": b'{"request_id":"x"}',
    "many members": json.dumps({f"m{i}": i for i in range(20000)}).encode(),
    "an unknown member": b'{"op":"ping","more":1}',
    "a request_id that is none": b'{"op":"time","request_id":5}',
    "too many bytes": b'{"op":"ping","x":"' + b"x" * (512 * 1024) + b'"}',
    "random bytes": random.Random(1).randbytes(5000),
}

# Values of the wrong type, or out of every range.
VALUES = [None, True, 1.5, -1, 0, 2**53, 2**63 - 1, "", "x" * 2000, "\x01", "'; DROP TABLE item; --",
          '" OR *', [], [[]], {}, {"id": 1}, [{"id": 1, "quantity": 0}], [None] * 600]
OPERATIONS = {
    "catalog": {"time": [], "lookup": ["id", "title"], "topics": [], "audit": [],
                "search": ["topic", "query", "author", "limit", "cursor"],
                "items": ["limit", "cursor"], "movements": ["id", "limit", "cursor"],
                "unsettled": ["older_ms", "limit", "secret"]},
    "catalog.leader": {"item_add": ["key", "stamp", "id", "title", "price_cents", "authors", "topic",
                                    "year", "isbn", "currency", "stock", "secret"],
                       "item_edit": ["key", "stamp", "id", "version", "title", "restock"],
                       "item_remove": ["id", "version"], "stock": ["id", "change", "reason"],
                       "import": ["rows", "default_price_cents", "default_stock"],
                       "reserve": ["key", "stamp", "lines"], "undo": ["key", "stamp", "lines"],
                       "settle": ["keys"], "close": ["keys"]},
    "catalog.leases": {"lease_open": [], "lease_sync": ["cluster", "session", "term", "epoch", "ask"],
                       "lease_renew": ["cluster", "session", "term", "epoch", "ask", "acked"],
                       "lease_close": ["cluster", "session"]},
    "order": {"order": ["number", "key"], "orders": ["limit", "cursor"], "tally": ["cursor"]},
    "order.leader": {"buy": ["key", "stamp", "lines"], "cancel": ["key", "stamp", "number"]},
}
GOOD = {"key": "malformed", "stamp": 0, "id": 999, "title": "T", "price_cents": 1, "lines":
        [{"id": 999, "quantity": 1}], "keys": ["none"], "rows": [{"id": 999, "title": "T"}],
        "change": 1, "number": 1, "session": 1, "term": 1, "epoch": 1, "ask": 1, "acked": 0,
        "cluster": "0" * 32, "default_price_cents": 1}
NEEDS = {"item_add": ["key", "stamp", "id", "title", "price_cents"], "item_remove": ["key", "stamp"],
         "item_edit": ["key", "stamp", "id", "title"], "stock": ["key", "stamp", "id", "change"],
         "import": ["key", "stamp", "rows", "default_price_cents"], "settle": ["keys"],
         "close": ["keys"], "reserve": ["key", "stamp", "lines"], "undo": ["key", "stamp", "lines"],
         "buy": ["key", "stamp", "lines"], "cancel": ["key", "stamp", "number"],
         "lease_sync": ["cluster", "session", "term", "epoch", "ask"],
         "lease_renew": ["cluster", "session", "term", "epoch", "ask", "acked"],
         "lease_close": ["cluster", "session"]}


def odd_requests(secret):
    """(service, body): each member of each operation with each odd value."""
    for service, operations in OPERATIONS.items():
        for op, members in operations.items():
            good = {"op": op, "secret": secret, **{name: GOOD[name] for name in NEEDS.get(op, [])}}
            for member in members:
                for value in VALUES:
                    yield service, json.dumps({**good, member: value}).encode()


def frames_of_corpus(noun):
    """Messages of the fuzz corpus: a count, then each frame after its length."""
    for path in sorted(glob.glob(os.path.join(CORPUS, noun, "*"))):
        with open(path, "rb") as file:
            data = file.read()
        count, at, frames = data[0] % 33 if data else 0, 1, []
        while count > 0 and at + 2 <= len(data):
            size = int.from_bytes(data[at:at + 2], "big")
            frames.append(data[at + 2:at + 2 + size])
            at, count = at + 2 + size, count - 1
        if frames:
            yield frames


def messages():
    """Frames that no broker should get, and those that are good with something wrong in each place."""
    address = b"0000000100000000"
    yield from ([b""], [b"", b""], [b"x"], [b"\x00" * 100000], [b"a"] * 100, [b""] * 33)
    for header in (b"MDPC01", b"MDPC02", b"MDPW01", b"MDPW02", b"MDPC03", b"MDPW0", b"PYGMY1"):
        for empty in ([], [b""]):
            yield empty + [header]
            for byte in range(9):
                command = bytes([byte])
                for rest in ([], [b""], [b"mmi.service"], [b"x" * 300, b"body"],
                             [b"\xff\xfe", b"body"], [b"catalog"], [b"catalog.leader"], [address],
                             [address, b""], [address, b"", b"body"], [b"nonsense", b"", b"body"]):
                    yield empty + [header, command] + rest
    for side in (b"C", b"W", b"X"):
        good = bus.pack(side, [(bus.REQUEST, 1, 0, 100, 7, 1, b"catalog", b"body")])
        for cut in range(len(good[0])):
            yield [good[0][:cut]] + good[1:]
            yield [good[0][:cut] + b"\xff" + good[0][cut + 1:]] + good[1:]
        yield good + [b"more"]
        yield [good[0]]
        yield [good[0] + b"\x00", good[1]]
        for command in range(12):
            yield bus.pack(side, [(command, 255, 65535, 2**32 - 1, 2**64 - 1, 65535, b"n" * 127,
                                   b"")])
    yield from frames_of_corpus("mdp")
    yield from frames_of_corpus("pack")


def streams():
    """Bytes on a ZeroMQ port that are no ZMTP, or stop being it."""
    randomness = random.Random(7)
    greeting = (b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0"
                + b"\0" * 31)
    yield from (randomness.randbytes(size) for size in (1, 10, 64, 1000, 100000))
    for size in range(0, len(greeting), 7):
        yield greeting[:size]
    yield greeting + randomness.randbytes(1000)
    yield greeting + b"\x04\xff\x05READY" + b"\xff" * 300
    yield greeting + b"\x06" + (2**63 - 1).to_bytes(8, "big") + b"x" * 1000
    yield greeting + b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" + b"\x02" + b"\xff" * 9
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def http_requests():
    """Bytes on the bridge's port, each to be answered with an error, or not at all."""
    host = b"Host: localhost\r\n"
    randomness = random.Random(9)
    yield from (randomness.randbytes(size) for size in (1, 10, 1000, 60000))
    yield from (b"\r\n" * 5000, b"GET\r\n\r\n", b"\0" * 1000, b"\x16\x03\x01\x02\x00\x01\x00")
    for target in (b"/%", b"/%zz", b"/lookup/%00", b"/lookup/-1", b"/lookup/" + b"9" * 50, b"/../x",
                   b"/search?limit=0", b"/search?limit=x", b"/search?q=1&q=2", b"/search?" + b"a=b&" * 500,
                   b"/search?q=%ff", b"/search?cursor=x", b"/lookup?title=%c3", b"/orders/0", b"//",
                   b"/" + b"a/" * 3000, b"/search/%2f%00", b"*", b"?", b"/lookup/1?x=y"):
        yield b"GET " + target + b" HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n"
    for header in (b"Content-Length: 5x", b"Content-Length: -5", b"Content-Length: " + b"9" * 30,
                   b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked\r\nContent-Length: 3",
                   b"Host: other", b"X\x00Y: z", b"X Y: z", b": z", b"Expect: 200-maybe",
                   b"Idempotency-Key: " + b"k" * 300, b"Idempotency-Key: a b",
                   b"Content-Type: text/plain", b"Content-Encoding: gzip", b"If-Match: \"",
                   b"Origin: http://evil.example", b"Authorization: Bearer"):
        yield (b"POST /orders HTTP/1.1\r\n" + host + header + b"\r\nConnection: close\r\n\r\n{}")


def http_bodies():
    """(path, name, body): JSON bodies that are no requests."""
    for path in ("/orders", "/buy/1", "/items", "/items/1/stock"):
        for name, body in BODIES.items():
            # A buy needs none; and what is far too large is not read to its end.
            if (body or path != "/buy/1") and len(body) <= 256 * 1024:
                yield path, name, body
    for value in VALUES:
        yield "/orders", "lines", json.dumps({"lines": value}).encode()
        if value is not None:
            yield "/buy/1", "quantity", json.dumps({"quantity": value}).encode()
        yield "/items/1/stock", "change", json.dumps({"change": value}).encode()
        yield "/items", "title", json.dumps({"id": 999, "title": value}).encode()
