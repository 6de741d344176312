"""pygmy verify, against a real store of three replicas each: at rest, under load, with a replica that
is away, and with one whose tables somebody has changed behind its back.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import signal
import sqlite3
import threading
import time

import pytest

REPLICAS = [f"{group}-{number}" for group in ("catalog", "order") for number in (1, 2, 3)]
ROW = ["name", "kind", "applied_index", "compared_index", "digest", "state", "items", "violations",
       "conserved"]


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    store = make_cluster("--catalogs", "3", "--orders", "3")
    for item in (1, 2, 3):
        assert store.pygmy("items", "add", item, "--title", f"Item {item}", "--price", 100,
                           "--stock", 50).code == 0
    return store


def change(store, name, statement):
    """Change a running replica's tables behind its back."""
    path = store.path(name, "state.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10)) as \
            database, database:
        assert database.execute(statement).rowcount == 1


def rows_of(result):
    return {row["name"]: row for row in result.json["replicas"]}


def test_replicas_are_equal_at_rest_and_under_load(store):
    """All are compared, at one index for each group, and audited; also while buys go on."""
    for _ in range(5):
        assert store.pygmy("buy", 1).code == 0
    result = store.pygmy("verify", "--json")
    assert result.code == 0 and result.json["verdict"] == "equal", result
    rows = rows_of(result)
    assert list(rows) == REPLICAS and all(list(row) == ROW for row in rows.values())
    for group in ("catalog", "order"):
        mine = [row for name, row in rows.items() if name.startswith(group)]
        assert len({row["digest"] for row in mine}) == 1
        assert len({row["compared_index"] for row in mine}) == 1
        assert all(row["conserved"] is (True if group == "catalog" else None) for row in mine)
    said = store.pygmy("verify").stdout
    assert said.startswith("equal: all replicas hold the same, and the stock of every item adds up\n")
    assert all(name in said for name in REPLICAS)

    load = threading.Thread(target=lambda: store.pygmy("bench", "buy", "--seconds", "3"))
    load.start()
    under_load = store.pygmy("verify")
    load.join()
    assert under_load.code in (0, 3) and "differs" not in under_load.stdout, under_load
    assert store.pygmy("verify").code == 0


def test_a_replica_that_does_not_answer_is_unknown(store):
    """Neither equal nor different; the others are compared all the same."""
    os.kill(store.pid("order-2"), signal.SIGSTOP)
    try:
        result = store.pygmy("verify", "--json")
    finally:
        os.kill(store.pid("order-2"), signal.SIGCONT)
    assert result.code == 3 and result.json["verdict"] == "unknown", result
    states = {name: row["state"] for name, row in rows_of(result).items()}
    assert states == {name: "unknown" if name == "order-2" else "equal" for name in REPLICAS}


def test_who_is_away_holds_up_nothing(store):
    """Some seconds, however many are away; and one that is alone was compared with nobody."""
    away = ["catalog-1", "catalog-2"]
    for name in away:
        os.kill(store.pid(name), signal.SIGSTOP)
    begin = time.monotonic()
    try:
        result = store.pygmy("verify", "--json")
    finally:
        for name in away:
            os.kill(store.pid(name), signal.SIGCONT)
    took = time.monotonic() - begin
    assert result.code == 3 and result.json["verdict"] == "unknown", result
    rows = rows_of(result)
    assert {name for name, row in rows.items() if row["state"] != "equal"} == {*away, "catalog-3"}
    assert rows["catalog-3"]["conserved"] is True and rows["catalog-1"]["conserved"] is None
    assert took < 12, "each was waited for as long as an audit may take"


def test_the_time_that_is_given_is_kept(store):
    """By `verify` and `status`; and nobody is called silent because the time was up."""
    os.kill(store.pid("catalog-1"), signal.SIGSTOP)
    try:
        begin = time.monotonic()
        result = store.pygmy("verify", "--json", "--timeout", "1500ms")
        verify_s = time.monotonic() - begin
        begin = time.monotonic()
        status = store.pygmy("status", "--json", "--timeout", "3")
        status_s = time.monotonic() - begin
    finally:
        os.kill(store.pid("catalog-1"), signal.SIGCONT)
    assert result.code == 3 and 1.5 <= verify_s < 4, (result, verify_s)
    assert {name for name, row in rows_of(result).items() if row["state"] != "equal"} == {"catalog-1"}
    assert status_s >= 3, status
    assert [row["name"] for row in status.json["processes"] if row["state"] == "unknown"] == \
        ["catalog-1"]


def test_a_changed_row_is_found_on_the_replica_that_has_it(store):
    """A stock that does not add up by its audit; any other value when the next entry touches its row."""
    change(store, "catalog-2", "UPDATE item SET stock = stock + 1 WHERE id = 2")
    result = store.pygmy("verify")
    assert result.code == 1
    assert result.stdout.startswith("differs: catalog-2 breaks the law of conservation\n"), result
    change(store, "catalog-2", "UPDATE item SET stock = stock - 1 WHERE id = 2")
    assert store.pygmy("verify").code == 0

    change(store, "catalog-3", "UPDATE item SET price_cents = 99 WHERE id = 3")
    assert store.pygmy("restock", 3, 1).code == 0
    result = store.pygmy("verify", "--json")
    assert result.code == 1 and result.json["verdict"] == "differs"
    assert [name for name, row in rows_of(result).items() if row["state"] == "differs"] == ["catalog-3"]


def test_without_a_broker_nothing_is_known(make_cluster):
    store = make_cluster()
    store.stop("broker-1")
    result = store.pygmy("verify")
    assert result.code == 3 and result.stdout.startswith("unknown: "), result
