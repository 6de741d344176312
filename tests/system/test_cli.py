"""The command-line client against a real store: every verb, what it prints, and its exit status.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

import bus
from cluster import program, wait_until
from shop import bus_endpoint

DONE, REFUSED, USAGE, UNANSWERED, FORBIDDEN, INTERRUPTED = 0, 1, 2, 3, 4, 130
KEY = re.compile(r"key ([0-9a-f]{32})\n")
ROW = ["name", "kind", "role", "state", "pid", "term", "log_index", "commit_index",
       "applied_index", "lag", "last_contact_ms", "version"]


@pytest.fixture(name="add")
def add_fixture(shared_cluster):
    """add(id, stock, ...): an item of the test's own in the shared store."""

    def add(item, stock=10, price=1999, **fields):
        options = [part for name, value in fields.items() for part in (f"--{name}", value)]
        result = shared_cluster.pygmy("items", "add", item, "--title", f"Item {item}", "--price",
                                      price, "--stock", stock, *options)
        assert result.code == DONE, result
        return item

    return add


def stock_of(cluster, item):
    return cluster.pygmy("lookup", item, "--json").json["item"]["stock"]


# --- Reading ---------------------------------------------------------------------------------------


def test_lookup_by_id_and_by_title_in_three_forms(shared_cluster, add):
    """The same item for people, for programs and as JSON."""
    add(30001, 5, topic="tests", authors="A. One; B. Two", year=-800, isbn="978")
    page = shared_cluster.pygmy("lookup", 30001)
    assert page.code == DONE
    for line in ("title      Item 30001", "year       800 BCE", "price      USD 19.99",
                 "stock      5"):
        assert line in page.stdout.splitlines(), page
    plain = shared_cluster.pygmy("lookup", "ITEM 30001", "--plain").stdout
    assert plain.startswith("30001\tItem 30001\tA. One; B. Two\ttests\t-800\t978\t1999\tUSD\t5\t")
    answer = shared_cluster.pygmy("--json", "lookup", "Item 30001").json
    assert set(answer) == {"item", "log_time"}
    assert answer["item"]["id"] == 30001 and answer["item"]["year"] == -800


def test_lookup_of_a_title_that_is_a_number(shared_cluster, add):
    """--title takes a number for a title."""
    shared_cluster.pygmy("items", "add", 30002, "--title", "30999", "--price", 1)
    assert shared_cluster.pygmy("lookup", "30999").code == REFUSED
    assert shared_cluster.pygmy("lookup", "30999", "--title", "--json").json["item"]["id"] == 30002


def test_a_missing_item_is_refused_with_a_reason(shared_cluster):
    """Status 1; the error object on standard output with --json, the reason on standard error."""
    result = shared_cluster.pygmy("lookup", "999999", "--json")
    assert result.code == REFUSED
    assert result.json["error"]["type"] == "not-found"
    assert "999999" in result.stderr


def test_search_by_topic_words_author_and_everything(shared_cluster):
    """Each way gives the rows that it should, in pages."""
    by_topic = shared_cluster.pygmy("search", "--topic", "Distributed Systems", "--json").json
    assert {item["topic"] for item in by_topic["items"]} == {"distributed systems"}
    assert set(by_topic) == {"items", "next", "log_time"}
    assert set(by_topic["items"][0]) == {"id", "title", "authors", "topic", "price_cents"}
    by_words = shared_cluster.pygmy("search", "rpcs", "dumm", "--plain").stdout
    assert by_words == "20002\t4999\tdistributed systems\tRPCs for Dummies\t\n"
    first = shared_cluster.pygmy("search", "--limit", 5, "--json").json
    second = shared_cluster.pygmy("search", "--limit", 5, "--cursor", first["next"], "--json").json
    ids = [item["id"] for item in first["items"] + second["items"]]
    assert len(ids) == 10 and ids == sorted(set(ids))
    lines = shared_cluster.pygmy("search", "--all", "--json", "--limit", 7).stdout.splitlines()
    everything = [json.loads(line)["id"] for line in lines]
    assert everything[:10] == ids and everything == sorted(set(everything))
    nothing = shared_cluster.pygmy("search", "--author", "nobody at all")
    assert nothing.code == DONE and nothing.stdout == "" and "nothing was found" in nothing.stderr


# --- Buying ----------------------------------------------------------------------------------------


def test_buy_shows_the_order_and_its_key(shared_cluster, add):
    """The order on standard output, the key that was made on standard error before it."""
    add(30010, 10)
    result = shared_cluster.pygmy("buy", 30010, "--quantity", 2)
    assert result.code == DONE
    assert "total      USD 39.98" in result.stdout.splitlines()
    key = KEY.search(result.stderr).group(1)
    assert stock_of(shared_cluster, 30010) == 8
    again = shared_cluster.pygmy("buy", 30010, "--quantity", 2, "--key", key, "--json")
    assert again.json["replayed"] is True and again.json["key"] == key
    assert str(again.json["order"]["order_number"]) in result.stdout
    assert stock_of(shared_cluster, 30010) == 8


def test_buy_of_several_lines_is_one_order(shared_cluster, add):
    """All lines or none; quantities by line."""
    add(30011, 10)
    add(30012, 3)
    sold = shared_cluster.pygmy("buy", "30011:2", 30012, "--json").json["order"]
    assert [(line["id"], line["quantity"]) for line in sold["lines"]] == [(30011, 2), (30012, 1)]
    denied = shared_cluster.pygmy("buy", "30011:1", "30012:3", "--json")
    assert denied.code == REFUSED
    error = denied.json["error"]
    assert (error["type"], error["id"], error["available"]) == ("out-of-stock", 30012, 2)
    assert stock_of(shared_cluster, 30011) == 8


def test_a_key_with_other_content_is_refused(shared_cluster, add):
    """Status 1 and the type key-reused."""
    add(30013, 10)
    assert shared_cluster.pygmy("buy", 30013, "--key", "cli-key-1").code == DONE
    result = shared_cluster.pygmy("buy", "30013:2", "--key", "cli-key-1", "--json")
    assert result.code == REFUSED and result.json["error"]["type"] == "key-reused"


def test_order_orders_and_cancel(shared_cluster, add):
    """An order is found by number, by key, and in the list; cancelled once, with its stock back."""
    add(30014, 10)
    bought = shared_cluster.pygmy("buy", "30014:4", "--key", "cli-key-2", "--json").json["order"]
    number = bought["order_number"]
    assert shared_cluster.pygmy("order", number, "--json").json["order"] == bought
    assert shared_cluster.pygmy("order", "--key", "cli-key-2", "--json").json["order"] == bought
    listed = shared_cluster.pygmy("orders", "--json").json
    assert set(listed) == {"orders", "next"} and bought in listed["orders"]
    row = shared_cluster.pygmy("orders", "--plain", "--all").stdout.splitlines()[-number]
    assert row.split("\t")[:5] == [str(number), "active", "4", "7996", "USD"]
    cancelled = shared_cluster.pygmy("cancel", number, "--json").json["order"]
    assert cancelled["state"] == "cancelled"
    assert stock_of(shared_cluster, 30014) == 10
    again = shared_cluster.pygmy("cancel", number, "--json")
    assert again.code == REFUSED and again.json["error"]["type"] == "wrong-state"
    assert shared_cluster.pygmy("order", 10**9).code == REFUSED


# --- The operator's verbs ----------------------------------------------------------------------------


def test_restock_adds_and_takes(shared_cluster, add):
    """Both ways, and never below zero."""
    add(30020, 10)
    assert shared_cluster.pygmy("restock", 30020, 5).code == DONE
    taken = shared_cluster.pygmy("restock", 30020, -3, "--reason", "damaged", "--json")
    assert taken.json["item"]["stock"] == 12
    assert shared_cluster.pygmy("restock", 30020, -13).code == REFUSED
    assert stock_of(shared_cluster, 30020) == 12


def test_items_are_added_edited_and_removed(shared_cluster, add):
    """Each action changes what was named, and a version that has passed is refused."""
    add(30021, 10)
    refused = shared_cluster.pygmy("items", "add", 30021, "--title", "X", "--price", 1, "--json")
    assert refused.code == REFUSED and refused.json["error"]["type"] == "exists"
    before = shared_cluster.pygmy("lookup", 30021, "--json").json["item"]
    edited = shared_cluster.pygmy("items", "edit", 30021, "--price", 5, "--year", "1950",
                                  "--if-version", before["version"], "--json").json["item"]
    assert (edited["price_cents"], edited["year"]) == (5, 1950)
    assert edited["title"] == before["title"] and edited["stock"] == before["stock"]
    stale = shared_cluster.pygmy("items", "edit", 30021, "--price", 6, "--if-version",
                                 before["version"], "--json")
    assert stale.code == REFUSED and stale.json["error"]["type"] == "version-conflict"
    assert shared_cluster.pygmy("items", "edit", 30021, "--year", "", "--json").json["item"][
        "year"] is None
    assert shared_cluster.pygmy("items", "remove", 30021).code == DONE
    assert shared_cluster.pygmy("lookup", 30021).code == REFUSED


def test_a_restock_rule_acts(shared_cluster, add):
    """An item whose stock has run out gets more by its rule."""
    add(30022, 1)
    ruled = shared_cluster.pygmy("items", "edit", 30022, "--restock", "0:100:10s")
    assert ruled.code == DONE, ruled
    assert shared_cluster.pygmy("buy", 30022).code == DONE
    wait_until(lambda: stock_of(shared_cluster, 30022) == 100, what="stock by rule")


def test_without_the_secret_the_operators_verbs_are_forbidden(make_cluster):
    """Status 4 when the secret's file is not there to be read; buying needs none."""
    store = make_cluster("--sample")
    os.rename(store.path("cluster.secret"), store.path("elsewhere"))
    result = store.pygmy("restock", 20001, 1)
    os.rename(store.path("elsewhere"), store.path("cluster.secret"))
    assert result.code == FORBIDDEN and "cluster.secret" in result.stderr
    os.chmod(store.path("cluster.secret"), 0o644)
    result = store.pygmy("restock", 20001, 1)
    os.chmod(store.path("cluster.secret"), 0o600)
    assert result.code == FORBIDDEN
    assert store.pygmy("buy", 20001).code == DONE


# --- Wrong usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, named", [
    (["buy", "20001", "--quantity", "0"], "--quantity"),
    (["buy", "20001", "--quantity", "-1"], "--quantity"),
    (["buy", "20001", "--quantity", "1.5"], "--quantity"),
    (["buy", "20001", "--quantity", "two"], "--quantity"),
    (["buy", "20001", "--quantity", "1000001"], "--quantity"),
    (["buy", "20001", "--quantity", "99999999999999999999"], "--quantity"),
    (["buy", "20001", "--quantity", ""], "--quantity"),
    (["buy", "20001:"], "QUANTITY"),
    (["buy", "20001:1:2"], "QUANTITY"),
    (["buy", "0"], "ID"),
    (["buy", "x"], "ID"),
    (["buy"], "ID[:QUANTITY]"),
    (["buy", "20001", "--key", ""], "--key"),
    (["buy", "20001", "--key", "a b"], "--key"),
    (["buy", "20001", "--key", "x" * 256], "--key"),
    (["lookup", "0"], "ID"),
    (["lookup", "-1"], "ID"),
    (["order", "0"], "NUMBER"),
    (["order"], "NUMBER"),
    (["cancel", "one"], "NUMBER"),
    (["search", "--limit", "501"], "--limit"),
    (["restock", "20001", "0"], "CHANGE"),
    (["restock", "20001", "1000001"], "CHANGE"),
    (["ping", "x" * 65], "NAME"),
    (["items", "ad", "1"], "ad"),
    (["items", "add", "1", "--price", "5"], "--title"),
    (["items", "add", "1", "--title", "x", "--price", "1.99"], "--price"),
    (["items", "edit", "1"], "changed"),
    (["items", "edit", "1", "--stock", "5"], "--stock"),
    (["items", "edit", "1", "--restock", "0:100"], "--restock"),
    (["items", "remove", "1", "--title", "x"], "--title"),
    (["lookup", "1", "--timeout", "0"], "--timeout"),
    (["lookup", "1", "--timeout", "1h"], "--timeout"),
    (["lookup", "1", "--json", "--plain"], "--plain"),
    (["bench", "read"], "read"),
    (["bench", "lookup", "--in-flight", "0"], "--in-flight"),
    (["bench", "lookup", "--rate", "5", "--in-flight", "5"], "--rate"),
    (["bench", "lookup", "--ids", "9-1"], "--ids"),
    (["bench", "buy", "--writes", "5"], "--writes"),
    (["completion", "tcsh"], "tcsh"),
    (["lokup", "1"], "lookup"),
    (["lookup", "1", "--jsn"], "--json"),
    ([], "VERB"),
])
def test_wrong_usage_is_named(shared_cluster, arguments, named):
    """Status 2, nothing on standard output, and what was wrong on standard error."""
    result = shared_cluster.pygmy(*arguments)
    assert result.code == USAGE and result.stdout == "", result
    assert named in result.stderr


def test_help_and_version_need_no_store():
    """They work without a configuration."""
    env = dict(os.environ, PYGMY_CONFIG="/nonexistent")
    for arguments in (["help"], ["--help"], ["help", "buy"], ["buy", "--help"], ["version"],
                      ["--version"], ["completion", "bash"]):
        done = subprocess.run([program("pygmy"), *arguments], env=env, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == DONE and done.stdout != "" and done.stderr == ""
    done = subprocess.run([program("pygmy"), "status"], env=env, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == USAGE and "/nonexistent" in done.stderr


def test_completion_scripts_are_scripts():
    """bash reads what it is given, and completes from it."""
    script = subprocess.run([program("pygmy"), "completion", "bash"], capture_output=True,
                            text=True, check=True, timeout=60).stdout
    ask = ('COMP_WORDS=(pygmy loo); COMP_CWORD=1; _pygmy; echo "${COMPREPLY[@]}";'
           'COMP_WORDS=(pygmy buy 5 --qu); COMP_CWORD=3; _pygmy; echo "${COMPREPLY[@]}"')
    told = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, timeout=60)
    assert told.stdout.splitlines() == ["lookup", "--quantity --quiet"], told


# --- The cluster's state ---------------------------------------------------------------------------------


def test_status_tells_what_is_there_and_what_is_missing(make_cluster):
    """0 healthy, 1 without a bridge, 3 without orders; what is unknown of them is null."""
    store = make_cluster("--brokers", "2")
    healthy = status_of(store, 0)
    assert healthy.json["verdict"] == "healthy"
    rows = healthy.json["processes"]
    assert [list(row) for row in rows] == [ROW] * 5
    assert {row["name"]: row["role"] for row in rows} == {
        "broker-1": None, "broker-2": None, "catalog-1": "leader", "order-1": "leader",
        "bridge-1": None}
    assert {row["name"]: row["pid"] for row in rows} == store.pids()
    wait_until(lambda: store.pygmy("status").stdout.startswith("healthy"))

    store.stop("bridge-1")
    assert status_of(store, 1, "bridge-1").json["verdict"] == "degraded"
    sentence = "degraded: the store works, but bridge-1 does not answer"
    wait_until(lambda: store.pygmy("status").stdout.splitlines()[0] == sentence, what=sentence)

    with stopped(store, "order-1"):
        none = status_of(store, 3, "bridge-1", "order-1")
    assert none.json["verdict"] == "no majority"
    silent = {row["name"]: row for row in none.json["processes"]}["order-1"]
    assert silent["state"] == "unknown" and silent["role"] is None and silent["pid"] is None


def status_of(store, code, *unknown):
    """The status, once it is this one and nobody else is unknown. It waits half a second for each to
    answer, and on a busy machine somebody may take longer than that."""
    def as_wanted():
        result = store.pygmy("status", "--json")
        told = sorted(row["name"] for row in result.json["processes"] if row["state"] == "unknown")
        return result if result.code == code and told == sorted(unknown) else None
    return wait_until(as_wanted, what=f"status {code}, {unknown} unknown")


@contextlib.contextmanager
def stopped(store, name):
    """It is there, and does nothing."""
    pid = store.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSTOP])
@pytest.mark.parametrize("broker", ["broker-1", "broker-2"])
def test_status_asks_through_any_broker_that_lives(make_cluster, broker, number):
    """One that is dead, or stands still, hides nobody but itself."""
    store = make_cluster("--brokers", "2")
    if number == signal.SIGTERM:
        store.stop(broker)
        status_of(store, 1, broker)
    else:
        with stopped(store, broker):
            status_of(store, 1, broker)


def test_status_without_a_broker_knows_nobody(make_cluster):
    store = make_cluster()
    store.stop("broker-1")
    status = store.pygmy("status", "--json")
    assert status.code == 3, status
    assert all(row["state"] == "unknown" for row in status.json["processes"])


@pytest.mark.alone
def test_status_waits_for_nobody_longer_than_a_second(make_cluster):
    """Whoever is dead or stands still; two seconds with what else a process takes."""
    store = make_cluster("--brokers", "2")

    def took_s():
        began = time.monotonic()
        store.pygmy("status")
        return time.monotonic() - began

    with stopped(store, "order-1"):
        assert took_s() < 2
    for broker in ("broker-1", "broker-2"):
        with stopped(store, broker):
            assert took_s() < 2
    store.stop("broker-1")
    assert took_s() < 2
    store.stop("broker-2")
    assert took_s() < 2


def test_ping_measures(shared_cluster):
    """The catalog, or a process by its name."""
    pings = shared_cluster.pygmy("ping", "--count", 3, "--json").stdout.splitlines()
    assert [json.loads(ping)["name"] for ping in pings] == ["catalog"] * 3
    assert all(0 < json.loads(ping)["ms"] < 10000 for ping in pings)
    assert shared_cluster.pygmy("ping", "order-1").code == DONE
    assert shared_cluster.pygmy("ping", "nobody", "--timeout", "200ms").code == UNANSWERED


# --- Outages ---------------------------------------------------------------------------------------------


def test_a_buy_without_an_answer_is_safe_to_repeat(make_cluster):
    """Status 3 by the deadline, with the key; once the store is back, the key gives one order."""
    store = make_cluster("--sample")
    asker = bus.Client(bus_endpoint(store))

    def is_served():
        status, body = asker.call("node.broker-1", {"op": "status"})
        assert status == 0, body
        return any(row["name"] == "order.leader" and row["worker_count"] for row in body["services"])

    def unanswered():
        wait_until(is_served)
        with stopped(store, "order-1"):
            result = store.pygmy("buy", 20001, "--timeout", "1s")
        assert result.code == UNANSWERED, result
        # A client that starts slowly comes when the broker has missed the orders: they never had it.
        return None if "nothing was done" in result.stderr else result.stderr

    told = wait_until(unanswered, 30)
    asker.close()
    key = KEY.search(told).group(1)
    assert "may have been done" in told and f"--key {key}" in told
    order = store.pygmy("buy", 20001, "--key", key, "--json").json["order"]
    assert store.pygmy("buy", 20001, "--key", key, "--json").json["order"] == order
    assert len(store.pygmy("orders", "--json").json["orders"]) == 1


def test_a_buy_goes_through_while_the_store_comes_back(make_cluster):
    """It is tried again by itself: a store that returns before the deadline is no failure."""
    store = make_cluster("--sample")
    store.stop("order-1")
    buying = subprocess.Popen([program("pygmy"), "--config", store.config, "buy", "20001", "--json",
                               "--timeout", "60"], stdout=subprocess.PIPE, text=True)
    with buying:
        store.start("order-1")
        answer = json.loads(buying.communicate(timeout=60)[0])
    assert buying.returncode == DONE and answer["order"]["order_number"] == 1


def test_an_interrupted_buy_tells_its_key(make_cluster):
    """Status 130 at SIGINT, and the key to find out with."""
    store = make_cluster("--sample")
    store.stop("order-1")
    buying = subprocess.Popen([program("pygmy"), "--config", store.config, "buy", "20001",
                               "--timeout", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
    with buying:
        key = KEY.search(buying.stderr.readline()).group(1)
        buying.send_signal(signal.SIGINT)
        _, told = buying.communicate(timeout=10)
    assert buying.returncode == INTERRUPTED and f"--key {key}" in told


def test_no_broker_is_no_answer(make_cluster):
    """Status 3 by the deadline when nothing listens."""
    store = make_cluster("--sample")
    store.stop("broker-1")
    result = store.pygmy("lookup", 20001, "--timeout", "500ms", "--json")
    assert result.code == UNANSWERED and result.json["error"]["type"] == "no-broker"
    result = store.pygmy("buy", 20001, "--timeout", "500ms")
    assert result.code == UNANSWERED and "nothing was done" in result.stderr


# --- Load ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, loop, operations", [
    (["lookup", "--in-flight", 8], "closed", {"lookup"}),
    (["buy", "--in-flight", 8], "closed", {"buy"}),
    (["mix", "--writes", 50, "--rate", 500], "open", {"lookup", "buy"}),
    (["lookup", "--rate", 500, "--zipf", "0.99"], "open", {"lookup"}),
])
def test_bench_measures(shared_cluster, add, arguments, loop, operations):
    """Counts, rates and ordered percentiles of what was asked for."""
    if not add_bench_items(shared_cluster):
        pytest.fail("the items of the benchmark could not be added")
    result = shared_cluster.pygmy("bench", *arguments, "--ids", "31000-31009", "--count", 300,
                                  "--warm-up", "100ms", "--json")
    assert result.code == DONE, result
    told = result.json
    assert told["loop"] == loop and told["errors"] == {} and told["refused"] == {}
    assert set(told["operations"]) == operations
    assert sum(row["count"] for row in told["operations"].values()) == 300
    for row in told["operations"].values():
        times = [row["latency_ms"][name] for name in ("p50", "p90", "p99", "p99.9", "max")]
        assert times == sorted(times) and times[0] > 0
        assert row["ok"] == row["count"] and row["per_second"] > 0


def add_bench_items(cluster):
    rows = "".join(f"{item},Bench {item},100000,1\n" for item in range(31000, 31010))
    result = cluster.pygmy("import", "-", stdin="id,title,stock,price_cents\n" + rows)
    return result.code == DONE


def test_bench_reads_from_memory(shared_cluster):
    """With a cache nearly all lookups are answered in the process, and by another one's sales the
    cache lets go: what is counted stays right."""
    if not add_bench_items(shared_cluster):
        pytest.fail("the items of the benchmark could not be added")
    lookup = ["bench", "lookup", "--cached", "--ids", "31000-31009", "--seconds", "1", "--warm-up",
              "500ms", "--json"]

    def nearly_all_are():
        # At a steady rate they are a share of the time. On a busy machine a lease may come late.
        result = shared_cluster.pygmy(*lookup, "--rate", 500)
        assert result.code == DONE and result.json["errors"] == {}, result
        return result.json["from_memory"] > 0.9 * result.json["operations"]["lookup"]["count"]
    wait_until(nearly_all_are, 30, "nearly all lookups are answered from memory")
    result = shared_cluster.pygmy(*lookup)
    assert result.code == DONE, result
    told = result.json
    assert told["errors"] == {} and told["refused"] == {}
    assert told["from_memory"] > 0.9 * told["operations"]["lookup"]["count"], told
    assert told["cpu_seconds"] > 0, told
    result = shared_cluster.pygmy("bench", "mix", "--cached", "--writes", 10, "--ids",
                                  "31000-31009", "--count", 300, "--json")
    assert result.code == DONE and result.json["errors"] == {}, result
    assert shared_cluster.pygmy("bench", "buy", "--cached").code == USAGE


def test_bench_counts_refusals_and_needs_no_secret(make_cluster):
    """Five copies: five are sold, the rest refused; and no operator's right is needed."""
    store = make_cluster()
    store.pygmy("items", "add", 1, "--title", "Few", "--price", 1, "--stock", 5)
    os.chmod(store.path("cluster.secret"), 0)
    told = store.pygmy("bench", "buy", "--count", 50, "--warm-up", 0, "--json").json
    os.chmod(store.path("cluster.secret"), 0o600)
    assert told["operations"]["buy"]["ok"] == 5
    assert told["refused"] == {"out-of-stock": 45}
    assert told["items"] == 1


@pytest.mark.alone
def test_the_open_loop_counts_the_wait(make_cluster):
    """A pause of the store shows in the latencies of the requests that were due meanwhile."""
    rate, waiting_min = 200, 60
    store = make_cluster()
    store.pygmy("items", "add", 1, "--title", "One", "--price", 1)
    asker = bus.Client(bus_endpoint(store))

    def broker():
        """Requests that have been answered, and those that wait at the catalog or for it."""
        status, body = asker.call("node.broker-1", {"op": "status"})
        assert status == 0, body
        catalog = next(row for row in body["services"] if row["name"] == "catalog")
        return body["counters"]["requests_ok"], catalog["queued"] + catalog["in_flight"]

    before, _ = broker()
    bench = subprocess.Popen([program("pygmy"), "--config", store.config, "bench", "lookup",
                              "--rate", str(rate), "--seconds", "2", "--warm-up", "0", "--json"],
                             stdout=subprocess.PIPE, text=True)
    with bench:
        wait_until(lambda: broker()[0] > before + 20, what="the load has begun")
        os.kill(store.pid("catalog-1"), signal.SIGSTOP)
        wait_until(lambda: broker()[1] >= waiting_min, what=f"{waiting_min} requests wait")
        os.kill(store.pid("catalog-1"), signal.SIGCONT)
        told = json.loads(bench.communicate(timeout=60)[0])
    asker.close()
    times = told["operations"]["lookup"]["latency_ms"]
    # The first of those that waited was there before all the others were due.
    assert 1000 * (waiting_min - 2) / rate <= times["max"] < 3000
    # Of the 400 more than a tenth have waited, most of them for long.
    assert times["p90"] > 50


# --- The terminal ----------------------------------------------------------------------------------------


def on_terminal(store, *arguments, **env):
    """What the client writes when its output is a terminal."""
    try:
        ours, theirs = pty.openpty()
    except OSError as error:  # a bare root without /dev/pts
        pytest.skip(f"no terminal to be had: {error}")
    client = subprocess.Popen([program("pygmy"), "--config", store.config, *map(str, arguments)],
                              stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                              env=dict(os.environ, TERM="xterm", **env))
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            part = b""
        if not part:
            break
        written += part
    os.close(ours)
    client.wait(timeout=60)
    return written.decode()


def test_colour_is_for_terminals_that_want_it(shared_cluster):
    """On a terminal, unless NO_COLOR, --no-color or a dumb terminal says no; never in a pipe."""
    assert "\033[" in on_terminal(shared_cluster, "search", "--topic", "misc")
    assert "\033[" not in on_terminal(shared_cluster, "search", "--topic", "misc", NO_COLOR="1")
    assert "\033[" not in on_terminal(shared_cluster, "search", "--topic", "misc", "--no-color")
    assert "\033[" not in shared_cluster.pygmy("search", "--topic", "misc").stdout
    env = {"TERM": "dumb"}
    ours = dict(os.environ, **env)
    done = subprocess.run(["script", "-qec",
                           f"{program('pygmy')} --config {shared_cluster.config} search --topic misc",
                           "/dev/null"], env=ours, capture_output=True, text=True, timeout=60)
    assert done.returncode == DONE and "\033[" not in done.stdout


def test_a_full_disk_is_noticed(shared_cluster):
    """What could not be written was not done."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([program("pygmy"), "--config", shared_cluster.config, "search"],
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == USAGE and "can't be written" in done.stderr
