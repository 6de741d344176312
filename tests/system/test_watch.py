"""pygmy watch, against a real store: what it shows, how it is resumed, and what it survives.

SPDX-License-Identifier: Apache-2.0
"""

import json
import re
import signal
import subprocess

import pytest

from bus import Client
from cluster import program, wait_until
from customers import Customers
from feed import endpoints_of, pages_of
from replicas import kill_for_good, leader_of, wait_well
from shop import add_item
from watch import Watch, index_of

GROUPS = ("catalog", "order")
FINISH = 999  # an item that is changed last of all, so that it shows when all before it was shown


@pytest.fixture(name="watch")
def watch_fixture():
    """watch(store, arguments...): a watch that has begun, ended with the test."""
    watches = []

    def begin(store, *arguments, **more):
        watches.append(Watch(store, *arguments, **more))
        return watches[-1].wait_begun()

    yield begin
    for watch in watches:
        if watch.process.poll() is None:
            watch.process.kill()
            watch.close()


def do(store, *arguments):
    result = store.pygmy(*arguments)
    assert result.code == 0, result
    return result


def add(store, item, stock=100):
    do(store, "items", "add", item, "--title", f"Item {item}", "--price", 1999, "--stock", stock)


def truth(store):
    """Every item and every order as the store has them."""
    client = Client(endpoints_of(store, "bus")[0])
    try:
        items = pages_of(client, "catalog", "items", "items")
        orders = pages_of(client, "order", "orders", "orders")
        return {"catalog": {item["id"]: item for item in items},
                "order": {order["order_number"]: order for order in orders}}
    finally:
        client.close()


def states_of(*rows_of_watches):
    """What is known from the rows of one watch, or of several that took turns."""
    states = {group: {} for group in GROUPS}
    for rows in rows_of_watches:
        for group in GROUPS:
            for number, row in rows[group].items():
                states[group][number] = row["item" if group == "catalog" else "order"] \
                    if "removed" not in row else None
    return {group: {number: state for number, state in known.items() if state is not None}
            for group, known in states.items()}


def wait_shown(store, watches):
    """Until each watch has shown all that the store has."""
    have = truth(store)
    for watch in watches:
        for item in have["catalog"].values():
            watch.wait(lambda w=watch, i=item: w.has("catalog", i["id"], i["version"]))
        watch.wait(lambda w=watch: states_of(w.rows)["order"] == have["order"])
    return have


# ---- What it shows -----------------------------------------------------------------------------


def test_changes_are_shown_live(cluster, watch):
    """A sale, an edit, a removal, an order and its cancel: each in the state that it has then."""
    add(cluster, 1)
    shown = watch(cluster)
    do(cluster, "buy", 1, "--quantity", 2)
    shown.wait(lambda: 1 in shown.rows["order"])
    assert shown.rows["order"][1]["order"] == cluster.get("/orders/1").json
    shown.wait(lambda: shown.rows["catalog"][1]["item"]["stock"] == 98)
    assert shown.rows["catalog"][1]["item"] == cluster.get("/lookup/1").json
    do(cluster, "items", "edit", 1, "--price", 5)
    shown.wait(lambda: shown.rows["catalog"][1]["item"]["price_cents"] == 5)
    do(cluster, "cancel", 1)
    shown.wait(lambda: shown.rows["order"][1]["order"]["state"] == "cancelled")
    do(cluster, "items", "remove", 1)
    shown.wait(lambda: shown.rows["catalog"][1].get("removed"))
    since = shown.end()
    for group in GROUPS:
        assert index_of(since, group) >= max(row["version"] for row in shown.rows[group].values())


def test_people_and_scripts_get_lines(cluster):
    """A sentence with the time for people, tab-separated values with --plain."""
    add(cluster, 1)
    do(cluster, "buy", 1)
    do(cluster, "items", "remove", 1)

    def lines_of(count, *arguments):
        command = [program("pygmy"), "--config", cluster.config, "watch", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env=cluster.env) as process:
            lines = [process.stdout.readline() for _ in range(count)]
            process.terminate()
            assert process.wait(20) == 0
            return lines, process.stderr.read()

    (removed,), said = lines_of(1, "catalog", "--since", "0")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  item 1 removed \(version \d+\)\n", removed), removed
    hint = re.search(r"go on from here: pygmy watch catalog --since (\d+)@[0-9a-f]{8}$", said)
    assert hint and int(hint[1]) >= int(re.search(r"version (\d+)", removed)[1])
    (order,), _ = lines_of(1, "orders", "--since", "orders=0")
    assert re.fullmatch(r"\S+  order 1 active 1 line USD 19\.99 \(version \d+\)\n", order), order
    (order,), _ = lines_of(1, "orders", "--plain", "--since", "0")
    version = cells(order)[1]
    assert cells(order) == ["order", version, cells(order)[2], "order", "1", "active", "1", "1999",
                            "USD"]
    lines, said = lines_of(2, "--plain", "--since", "catalog=0,orders=0")
    assert sorted(cells(line)[3] for line in lines) == ["order", "removed"]
    assert re.search(r"pygmy watch --since catalog=\d+@\w{8},orders=\d+@\w{8}$", said), said


def cells(line):
    return line.rstrip("\n").split("\t")


@pytest.mark.parametrize("arguments, said", [
    (["items"], "neither catalog nor orders"),
    (["--since", "5"], "does not say of which group"),
    (["catalog", "--since", "x"], "is no index"),
    (["catalog", "--since", "orders=5"], "names no group that is watched"),
    (["orders", "--since", "-1"], "is no index"),
])
def test_wrong_usage_is_told(shared_cluster, arguments, said):
    result = shared_cluster.pygmy("watch", *arguments)
    assert result.code == 2 and said in result.stderr, result


def test_it_ends_when_nobody_reads(cluster):
    """A reader that goes ends it, also when there is nothing to show; and so does a full disk."""
    command = [program("pygmy"), "--config", cluster.config, "watch", "catalog"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=cluster.env) as process:
        assert "from index" in process.stderr.readline()
        process.stdout.close()
        assert process.wait(20) == 2
        assert "standard output can't be written" in process.stderr.read()
    add(cluster, 1)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([*command, "--since", "0"], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=20, check=False, env=cluster.env)
    assert done.returncode == 2 and "standard output can't be written" in done.stderr
    assert "pygmy watch catalog --since 0" in done.stderr, "what was not written was not shown"


# ---- Resuming ----------------------------------------------------------------------------------


def test_nothing_is_lost_between_two_watches(cluster, watch):
    """From the index that it leaves, and from any line, the next one goes on: also after changes of
    several pages, and after the whole store was started again."""
    add(cluster, 1)
    first = watch(cluster, "--since", "catalog=0,orders=0")
    for _ in range(3):
        do(cluster, "buy", 1)
    first.wait(lambda: len(first.rows["order"]) == 3)
    since = first.end(signal.SIGTERM)
    rows = "".join(f"{i},Book {i},500,7\n" for i in range(100, 700))
    with open(cluster.path("books.csv"), "w", encoding="utf-8") as file:
        file.write("id,title,price_cents,stock\n" + rows)
    do(cluster, "import", cluster.path("books.csv"))
    do(cluster, "cancel", 2)
    do(cluster, "items", "remove", 150)
    cluster.down()
    cluster.up()
    second = watch(cluster, "--since", since)
    do(cluster, "buy", 101)
    second.wait(lambda: 4 in second.rows["order"])
    add(cluster, FINISH)
    second.wait(lambda: FINISH in second.rows["catalog"])
    assert states_of(first.rows, second.rows) == truth(cluster)
    assert "removed" in second.rows["catalog"][150]

    middle = second.shown[len(second.shown) // 2]
    third = watch(cluster, "--since", middle["since"])
    third.wait(lambda: FINISH in third.rows["catalog"] and 4 in third.rows["order"])
    before = {group: {} for group in GROUPS}
    for change in second.shown[:second.shown.index(middle) + 1]:
        before[change["group"]][change.get("number", change.get("id"))] = change
    assert states_of(first.rows, before, third.rows) == truth(cluster)


def test_an_index_of_another_store_is_told(cluster, watch):
    """It says so, and shows all that there is here; of this store it goes on from there."""
    add(cluster, 1)
    shown = watch(cluster, "--since", "catalog=0")
    shown.wait(lambda: 1 in shown.rows["catalog"])
    since = shown.end()
    again = watch(cluster, "--since", since)
    foreign = watch(cluster, "catalog", "--since", re.sub(r"@\w+", "@00000000", since).split(",")[0],
                    groups=("catalog",))
    foreign.wait(lambda: 1 in foreign.rows["catalog"])
    add(cluster, 2)
    again.wait(lambda: 2 in again.rows["catalog"])
    assert 1 not in again.rows["catalog"] and not any("another" in line for line in again.heard())
    assert sum("this is another store" in line for line in foreign.heard()) == 1
    assert foreign.end().split("@")[1] == since.split(",")[0].split("@")[1]
    again.end()


def test_an_interrupt_ends_it_while_nobody_reads(cluster):
    """A reader that stands still leaves it waiting to write: it ends all the same, says that not all
    was written, and from where that can be had."""
    rows = "".join(f"{i},Book {'x' * 180} {i},500,7\n" for i in range(1, 501))
    with open(cluster.path("books.csv"), "w", encoding="utf-8") as file:
        file.write("id,title,price_cents,stock\n" + rows)
    do(cluster, "import", cluster.path("books.csv"))
    command = [program("pygmy"), "--config", cluster.config, "watch", "catalog", "--json", "--since",
               "0"]

    def waits_to_write(process):
        with open(f"/proc/{process.pid}/wchan", encoding="utf-8") as file:
            return "pipe_write" in file.read()

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=cluster.env) as process:
        wait_until(lambda: waits_to_write(process), 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 2
        said, lines = process.stderr.read(), process.stdout.read().splitlines(keepends=True)
    assert "standard output can't be written" in said
    read = [json.loads(line) for line in lines if line.endswith("\n")]
    assert 0 < len(read) < 500
    since = re.search(r"watch catalog --since (\S+)$", said, re.MULTILINE)[1]
    rest = Watch(cluster, "catalog", "--since", since, groups=("catalog",))
    try:
        rest.wait(lambda: 500 in rest.rows["catalog"])
        rest.end()
    finally:
        if rest.process.poll() is None:
            rest.process.kill()
            rest.close()
    assert {row["id"] for row in read} | set(rest.rows["catalog"]) == set(range(1, 501))


def test_an_index_of_the_future_is_told(cluster):
    """It says so, waits, and shows what comes when the store has come that far."""
    future = Watch(cluster, "catalog", "--since", 40, groups=("catalog",))
    try:
        future.wait(lambda: any("only at index" in line for line in future.heard()))
        for i in range(1, 60):
            add_item(cluster, i, title=f"Item {i}", price_cents=1)
        future.wait(lambda: 59 in future.rows["catalog"])
        assert min(row["version"] for row in future.rows["catalog"].values()) > 40
        future.end()
    finally:
        if future.process.poll() is None:
            future.process.kill()
            future.close()


# ---- Silence and deaths ------------------------------------------------------------------------


def test_silence_is_told_once_and_so_is_its_end(cluster, watch):
    """Without a broker there is no news: that is said, and it goes on when there is one again."""
    shown = watch(cluster)
    cluster.stop("broker-1")
    shown.wait(lambda: sum("no news from" in line for line in shown.heard()) == 2)
    cluster.start("broker-1")
    shown.wait(lambda: sum("news from" in line and "again" in line for line in shown.heard()) == 2)
    wait_until(lambda: cluster.pygmy("items", "add", 1, "--title", "One", "--price", 5).code == 0)
    shown.wait(lambda: 1 in shown.rows["catalog"])
    said = shown.heard()
    for title in ("the catalog", "the orders"):
        assert sum(f"no news from {title} since" in line for line in said) == 1, said
        assert sum(f"news from {title} again" in line for line in said) == 1, said
    shown.end()


@pytest.mark.limit_s(240)
def test_two_watches_end_with_what_the_store_has(make_cluster, watch):
    """Both groups' leaders and a broker are killed -9 while customers buy: in the end each
    watch has shown the store's state, and nothing in it went back."""
    store = make_cluster("--brokers", "2", "--catalogs", "3", "--orders", "3")
    whole = watch(store, "--since", "catalog=0,orders=0")
    now = watch(store)
    add(store, 2)
    with Customers(store) as customers:
        cancelled = do(store, "buy", 2, "--json").json["order"]["order_number"]
        do(store, "cancel", cancelled)
        for group in GROUPS:
            store.kill(leader_of(store, group))
            customers.go_on()
        kill_for_good(store, "broker-1")
        customers.go_on()
        store.start("broker-1")
        customers.go_on()
    wait_well(store)
    have = wait_shown(store, [whole, now])
    assert states_of(whole.rows) == states_of(now.rows) == have
    assert len(have["order"]) == len(customers.orders()) + 1
    assert have["order"][cancelled]["state"] == "cancelled"
    for shown in (whole, now):
        since = shown.end()
        for group in GROUPS:
            newest = max(row["version"] for row in shown.rows[group].values())
            assert index_of(since, group) >= newest
