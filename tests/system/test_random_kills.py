"""kill -9 of any process at random moments, under a mixed load whose history is judged.

PYGMY_KILLS says how many kills (default 6, the full measure is 100), PYGMY_SEED what they are
(default: a new one, printed). PYGMY_HISTORY=dir keeps history.jsonl and final.json there also when
all is well.

At least 90 % of the writes must be acknowledged outside the moments of a restart. Such a moment
lasts from the kill until the process serves again, and half a second more:

    catalog, order   it leads, and says so over the bus
    bridge           its /readyz is 200
    broker           catalog and order answer through it, and the bridge's /readyz is 200

What began or ended within one, or went on through it, counts on neither side.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile

import pytest
from bus import Client, Unknown
from cluster import ROOT, wait_until
from history import Recorder, now, read
from laws import NOT_NOW
from load import CALL_SECONDS, BusWay, Customer, HttpWay, end_of
from shop import add_item, bus_endpoint

KILLS = int(os.environ.get("PYGMY_KILLS", "6"))
SEED = int(os.environ.get("PYGMY_SEED") or random.randrange(10**6))
KEEP = os.environ.get("PYGMY_HISTORY")
FLOOR = 0.9
LEAST = 50 * KILLS  # writes acknowledged outside: fewer would make the share a joke
AFTERWARDS_NS = 500_000_000
STANDSTILL_S = 30.0  # without a single write acknowledged, whatever else the machine is busy with
WRITES_BETWEEN = 1500  # acknowledged writes from one kill to the next: none to so many
STOCKS = {1: 10, 2: 200, 3: 1000, 4: 5000, 5: 100000}  # the first is the hot one
# A call ends by its deadline; what is above it is the machine's noise and the client's own work.
CALL_NS_MAX = int((CALL_SECONDS + 3.0) * 1e9)
JUDGE = os.path.join(ROOT, "tests", "lib", "judge")


class Nemesis:
    """Kills, and tells when what it killed serves again."""

    def __init__(self, cluster, recorder, rng):
        self.cluster, self.recorder, self.rng = cluster, recorder, rng
        self.client = Client(bus_endpoint(cluster))

    def strike(self, most):
        """Kill one process, or two at a time, but no more than @most. Returns how many."""
        names = self.rng.sample(["broker-1", "catalog-1", "order-1", "bridge-1"],
                                min(self.rng.choice((1, 1, 1, 2)), most))
        killed = []
        for name in names:
            pid = self.cluster.pid(name)
            killed.append((name, pid, now()))
            os.kill(pid, signal.SIGKILL)
        for name, pid, since in killed:
            wait_until(lambda name=name, pid=pid: self.serves(name, pid), 30,
                       f"{name} serves again")
            self.recorder.window(f"kill {name}", since, now() + AFTERWARDS_NS)
        return len(killed)

    def serves(self, name, killed):
        pid = self.cluster.pid(name)
        if pid in (None, killed):
            return False
        if name == "broker-1":
            return self.leads("catalog-1") and self.leads("order-1") and self.bridge_is_ready()
        if name == "bridge-1":
            return self.bridge_is_ready()
        return self.leads(name, pid)

    def leads(self, name, pid=None):
        try:
            status, body = self.client.call(f"node.{name}", {"op": "status"}, 0.2)
        except Unknown:
            return False
        return status == 0 and body["role"] == "leader" and pid in (None, body["pid"])

    def bridge_is_ready(self):
        try:
            return self.cluster.get("/readyz", timeout=1).status == 200
        except OSError:
            return False

    def wait_for_writes(self):
        """Until the store has taken in some more writes; how many is for the seed to say, and how
        long that takes for the machine, which may be busy: as long as they come."""
        count = self.recorder.done + self.rng.randint(0, WRITES_BETWEEN)
        while (done := self.recorder.done) < count:
            wait_until(lambda done=done: self.recorder.done > done, STANDSTILL_S,
                       "the store takes in writes")


@pytest.fixture(name="folder")
def folder_fixture(request):
    """Where the history goes. It stays when the test fails, or when it was asked for."""
    if KEEP:
        os.makedirs(KEEP, exist_ok=True)
    folder = KEEP or tempfile.mkdtemp(prefix="pygmy-history-")
    yield folder
    if getattr(request.node, "failed_in", None):
        print(f"PYGMY_SEED={SEED}; the history is in {folder}")
    elif not KEEP:
        shutil.rmtree(folder)


@pytest.mark.limit_s(300 + 60 * KILLS)
def test_random_kills_under_load_break_no_law(cluster, folder):
    """Whatever is killed, whenever: every answer was possible and is kept, each key has one effect,
    and the store serves all but the moments of a restart."""
    print(f"PYGMY_SEED={SEED} PYGMY_KILLS={KILLS}")
    recorder = Recorder(os.path.join(folder, "history.jsonl"), SEED)
    for item, stock in STOCKS.items():
        add_item(cluster, item, title=f"Book {item}", price_cents=100 * item, stock=stock)
        added = cluster.get(f"/lookup/{item}").json
        recorder.item(item, added["stock"], added["version"])

    ways = [(f"http-{i}", lambda: HttpWay(cluster)) for i in range(4)]
    ways += [(f"bus-{i}", lambda: BusWay(cluster)) for i in range(4)]
    customers = [Customer(name, way, recorder, list(STOCKS), SEED) for name, way in ways]
    nemesis = Nemesis(cluster, recorder, random.Random(SEED))
    for customer in customers:
        customer.start()
    try:
        kills = 0
        while kills < KILLS:
            nemesis.wait_for_writes()
            kills += nemesis.strike(KILLS - kills)
        nemesis.wait_for_writes()
        go_on(customers)
    finally:
        for customer in customers:
            customer.stopping.set()
        for customer in customers:
            customer.join()
        nemesis.client.close()
        recorder.close()
    assert not [customer.problem for customer in customers if customer.problem is not None]
    judge(cluster, folder)


def go_on(customers):
    """Nobody hangs: each goes on to another operation."""
    before = [customer.turns for customer in customers]
    wait_until(lambda: all(customer.turns > turns for customer, turns in zip(customers, before)),
               60, "every customer goes on")


def judge(cluster, folder):
    """The history and the end of the store, judged by the program of its own."""
    path, final = os.path.join(folder, "history.jsonl"), os.path.join(folder, "final.json")
    history = read(path)
    keys = {attempt["key"] for attempt in history.attempts if attempt["op"] == "buy"}
    with open(final, "w", encoding="utf-8") as file:
        json.dump(end_of(cluster, STOCKS, keys), file)
    verdict = subprocess.run([JUDGE, path, "--final", final, "--floor", str(FLOOR),
                              "--least", str(LEAST)],
                             capture_output=True, text=True, timeout=300, check=False)
    print(verdict.stdout + verdict.stderr)
    refused = {attempt["answer"]["type"] for attempt in history.attempts
               if attempt["outcome"] == "refused"}
    slowest = max(attempt["to"] - attempt["from"] for attempt in history.attempts)
    print(f"slowest call {slowest / 1e9:.2f} s")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert refused <= NOT_NOW | {"out-of-stock"}, refused  # nobody asks for anything else
    assert slowest <= CALL_NS_MAX, f"a call took {slowest / 1e9:.2f} s"
