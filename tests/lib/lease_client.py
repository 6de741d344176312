"""A leased cache of the catalog, for the system tests.

Written from docs/protocol.md alone and sharing nothing with the C code. It is a thread that keeps a
session and a lease, and hears what the leader tells; read() serves from its memory when it may.

SPDX-License-Identifier: Apache-2.0
"""

import json
import threading
import time

import zmq

from bus import REPLAY_SAFE, REPLY, REQUEST, Client, pack, unpack
from cluster import wait_until
from feed import endpoints_of

OK, NOT_LEADER, BUSY, MISMATCH, NOT_FOUND = 0, 8, 102, 106, 201
LEASES = "catalog.leases"
ANSWER_S, OPEN_S, PAUSE_S = 0.1, 1.0, 0.05
RENEW_S = 0.3  # a third of a lease
DRIFT = 0.99  # clocks may be wrong by so much
TURN_MS = 5


def now():
    """The clock of leases: it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Entry:
    """What is kept under a key."""

    def __init__(self, value, epoch):
        self.value, self.epoch = value, epoch


class Fill:
    """A read whose answer may be kept."""

    def __init__(self, epoch):
        self.epoch, self.poisoned = epoch, False


class Cache(threading.Thread):
    """A cache that uses one broker, the store's first unless another is named.

    A test may have it not acknowledge (mute), or do nothing at all for a while (pause)."""

    def __init__(self, store, broker=1):
        super().__init__(daemon=True)
        self.secret = store.read("cluster.secret").strip()
        self.bus = endpoints_of(store, "bus")[broker - 1]
        self.feed_endpoint = endpoints_of(store, "subscribe")[broker - 1]
        self.lock = threading.RLock()
        self.stop, self.mute, self.paused = threading.Event(), threading.Event(), False
        self.failure = None
        self.cluster, self.session, self.term = None, None, 0
        self.epoch, self.synced, self.expiry = 0, False, 0.0
        self.last_seq, self.acked = 0, 0
        self.pending, self.all_pending, self.watermark = set(), False, 0
        self.kept, self.entries, self.fills = [], {}, {}
        self.number, self.correlation, self.under_way = 0, 0, {}
        self.again = 0.0
        self.told = []  # (when, message) of what was heard, without beats
        self.refusals = []  # the codes of asks that were refused
        self.hits, self.misses, self.flushes = 0, 0, 0
        self.reader, self.reading = Client(self.bus), threading.Lock()
        context = zmq.Context.instance()
        self.asker = context.socket(zmq.DEALER)
        self.asker.setsockopt(zmq.LINGER, 0)
        self.asker.connect(self.bus)
        self.ear = context.socket(zmq.SUB)
        self.ear.setsockopt(zmq.LINGER, 0)
        self.topic = b"leases.catalog\0"
        self.ear.setsockopt(zmq.SUBSCRIBE, self.topic)
        self.ear.connect(self.feed_endpoint)
        self.start()

    # ---- Reading ---------------------------------------------------------------------------

    def valid(self):
        return self.synced and now() < self.expiry

    def is_pending(self, key):
        return self.all_pending or key in self.pending

    def served(self, key):
        """The entry is taken first, and then the clock is read."""
        entry = self.entries.get(key)
        return entry if entry and entry.epoch == self.epoch and self.valid() else None

    def begin(self, key):
        """A fill, and the index that it needs. Neither while the key must not be kept."""
        if not self.valid() or self.is_pending(key):
            return None, None
        fill = Fill(self.epoch)
        self.fills.setdefault(key, []).append(fill)
        return fill, self.watermark

    def finish(self, key, fill, value):
        self.fills[key].remove(fill)
        if fill.epoch == self.epoch and not fill.poisoned and not self.is_pending(key):
            self.entries[key] = Entry(value, fill.epoch)

    def read(self, item):
        """(the item, or None when there is none; whether it was served from memory)"""
        key = f"item:{item}"
        request = {"op": "lookup", "id": item}
        with self.lock:
            entry = self.served(key)
            if entry:
                self.hits += 1
                return entry.value, True
            fill, applied = self.begin(key)
        self.misses += 1
        if fill:
            request["applied"] = applied
        with self.reading:
            status, body = self.reader.call("catalog", request)
        value = body["item"] if status == OK else None
        with self.lock:
            if fill and status in (OK, NOT_FOUND):
                self.finish(key, fill, value)
        assert status in (OK, NOT_FOUND), (status, body)
        return value, False

    # ---- What is heard ---------------------------------------------------------------------

    def flush(self):
        self.flushes += self.synced
        self.entries.clear()
        for fills in self.fills.values():
            for fill in fills:
                fill.poisoned = True
        self.synced, self.epoch = False, self.epoch + 1
        self.kept, self.again = [], min(self.again, now())

    def let_go(self, key):
        self.entries.pop(key, None)
        for fill in self.fills.get(key, ()):
            fill.poisoned = True

    def apply(self, message):
        self.last_seq = message["seq"]
        if message["type"] == "invalidate":
            if message.get("all"):
                self.all_pending = True
                self.pending.clear()
                for key in set(self.entries) | set(self.fills):
                    self.let_go(key)
            for key in message.get("keys", ()):
                self.pending.add(key)
                self.let_go(key)
        elif message["type"] == "release":
            self.watermark = max(self.watermark, message["index"])
            if message.get("all"):
                self.all_pending = False
            self.pending.difference_update(message.get("keys", ()))

    def take(self, message):
        """A message of this term, when synced."""
        if message["type"] == "beat":
            if message["seq"] > self.last_seq:
                self.flush()
        elif message["seq"] == self.last_seq + 1:
            self.apply(message)
        elif message["seq"] > self.last_seq:
            self.flush()
        else:
            self.acked = min(self.acked, message["seq"] - 1)  # to be said again

    def hear(self, message):
        assert message["group"] == "catalog"
        if message["cluster"] != self.cluster or message["term"] < self.term:
            return
        if message["type"] != "beat":
            self.told.append((now(), message))
        if message["term"] > self.term:
            self.term = message["term"]
            self.flush()
        elif self.synced:
            self.take(message)
        else:
            self.kept.append(message)

    # ---- What is asked ---------------------------------------------------------------------

    def send(self, op, timeout, **members):
        self.correlation += 1
        self.number += 1
        if op != "lease_open":
            members.update(cluster=self.cluster, session=self.session, term=self.term, epoch=self.epoch,
                           ask=self.number)
        self.under_way[self.correlation] = (op, self.number, self.epoch, now())
        body = json.dumps({"op": op, "secret": self.secret, **members}).encode()
        self.asker.send_multipart(pack(b"C", [
            (REQUEST, REPLAY_SAFE, 0, int(timeout * 1000), self.correlation, 1, LEASES.encode(),
             body)]))
        self.again = now() + timeout

    def ask(self):
        """What is due."""
        if self.session is None:
            if now() >= self.again:
                self.send("lease_open", OPEN_S)
        elif not self.synced:
            if now() >= self.again:
                self.epoch += 1  # each try has its own
                self.kept = []
                self.send("lease_sync", ANSWER_S)
        elif not self.mute.is_set() and (self.acked < self.last_seq or now() >= self.again):
            self.acked = self.last_seq
            self.send("lease_renew", ANSWER_S, acked=self.last_seq)

    def opened(self, body):
        self.session, self.term, self.cluster = body["session"], body["term"], body["cluster"]
        self.flush()
        self.again = 0.0

    def on_synced(self, body, sent):
        self.pending, self.all_pending = set(body.get("keys", ())), bool(body.get("all"))
        self.watermark, self.last_seq = body["index"], body["seq"]
        self.acked, self.synced = body["seq"], True
        self.granted(body, sent)
        kept, self.kept = self.kept, []
        for message in kept:
            if self.synced and (message["type"] == "beat" or message["seq"] > self.last_seq):
                self.take(message)

    def granted(self, body, sent):
        self.expiry = sent + body["remaining_ms"] / 1000 * DRIFT
        self.again = now() + RENEW_S

    def refused(self, status, body):
        self.refusals.append(status)
        term = body["error"].get("term", self.term) if body else self.term  # a broker's has no body
        self.again = now() + PAUSE_S
        if status == NOT_FOUND:
            self.session = None
        if status in (NOT_FOUND, MISMATCH) or term > self.term:
            self.term = max(self.term, term)
            self.flush()

    def answered(self, correlation, status, body):
        op, number, epoch, sent = self.under_way.pop(correlation, (None, 0, 0, 0.0))
        if op is None or (op != "lease_open" and epoch != self.epoch):
            return  # of something that is over
        if status != OK:
            self.refused(status, body)
            return
        if op == "lease_open":
            self.opened(body)
            return
        assert body["ask"] == number and body["epoch"] == epoch, body
        if body["term"] != self.term:
            return
        if op == "lease_sync" and not self.synced:
            self.on_synced(body, sent)
        elif op == "lease_renew" and self.synced:
            self.granted(body, sent)

    # ---- The thread ------------------------------------------------------------------------

    def receive(self):
        while self.asker.poll(0):
            for record in unpack(b"C", self.asker.recv_multipart()):
                if record[0] == REPLY:
                    self.answered(record[4], record[2], json.loads(record[7] or b"null"))
        while self.ear.poll(0):
            frame, = self.ear.recv_multipart()
            assert frame.startswith(self.topic)
            self.hear(json.loads(frame[len(self.topic):]))

    def run(self):
        poller = zmq.Poller()
        poller.register(self.asker, zmq.POLLIN)
        poller.register(self.ear, zmq.POLLIN)
        try:
            while not self.stop.is_set():
                poller.poll(TURN_MS)
                with self.lock:
                    if not self.paused:
                        self.receive()
                        self.ask()
                if self.paused:
                    self.stop.wait(TURN_MS / 1000)
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    # ---- For tests -------------------------------------------------------------------------

    def wait(self, condition, what, deadline_s=20.0):
        def look():
            if self.failure is not None:
                raise self.failure
            with self.lock:
                return condition()
        return wait_until(look, deadline_s, what)

    def pause(self):
        with self.lock:
            self.paused = True

    def pause_holding(self, *items):
        """It stands still as soon as its lease is renewed, with these in memory: they are served
        for as long as that lasts, whatever happens meanwhile."""
        for item in items:
            self.wait_kept(item)
        renewed = self.expiry

        def look():
            self.paused = self.expiry > renewed and all(
                self.served(f"item:{item}") for item in items)
            return self.paused
        self.wait(look, f"the lease is renewed, and items {items} are in memory")

    def resume(self):
        self.paused = False

    def wait_leased(self):
        self.wait(self.valid, "the cache has a lease")

    def wait_kept(self, *items):
        """Until these are served from memory."""
        for item in items:
            wait_until(lambda item=item: self.read(item)[1], 20.0, f"item {item} is in memory")

    def kept_entry(self, item):
        """What is in memory of an item. It may be served while there is a lease."""
        with self.lock:
            return self.entries.get(f"item:{item}")

    def told_of(self, kind, key):
        """When messages of this kind were heard that name the key."""
        with self.lock:
            return [at for at, message in self.told if message["type"] == kind
                    and (message.get("all") or key in message.get("keys", ()))]

    def leave(self):
        """It ends in order: lets go of everything, and the leader is told that its session is over."""
        self.stop.set()
        self.join()
        self.flush()
        session, self.session = self.session, None
        return self.reader.call(LEASES, {"op": "lease_close", "secret": self.secret,
                                         "session": session, "cluster": self.cluster})

    def close(self):
        self.stop.set()
        self.join()
        for socket in (self.asker, self.ear):
            socket.close()
        self.reader.close()
        if self.failure is not None:
            raise self.failure
