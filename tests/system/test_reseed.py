"""Replicas that lost their data, or can't read them, or differ: each begins anew under another id,
while customers buy and whatever dies in between.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import glob
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from cluster import wait_until
from customers import Customers
from members import DONE, THREE, UNANSWERED, assert_all_equal, do, grown, members_of
from replicas import GROUPS, WELL_S, followers_of, leader_of, rows_of


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    return make_cluster(*THREE)


@pytest.mark.parametrize("group", GROUPS)
def test_a_wiped_one_is_reseeded(store, group):
    """It refuses to begin anew under its id, and says by which command it gets another one."""
    name = followers_of(store, group)[0]
    with Customers(store) as customers:
        store.stop(name)
        shutil.rmtree(store.path(name))
        store.start(name)
        wait_until(lambda: f"scripts/cluster reseed {name}" in store.read(f"{name}.log"))
        assert "begins anew as id 4" in store.do("reseed", name).stdout
        assert members_of(store, group)[name]["id"] == 4
        customers.go_on()
        # With its data, which are kept; and never under an id that was used.
        assert "begins anew as id 5" in store.do("reseed", name).stdout
        customers.go_on()
    assert os.path.exists(store.path(f"{name}.id-4", "log.db"))
    assert_all_equal(store)
    assert [line.split() for line in store.read("joined").splitlines()] == [[name, "4"], [name, "5"]]
    store.down()
    store.up()
    assert_all_equal(store)


def test_one_is_reseeded_by_another_one_that_was(make_cluster):
    """What it is given is a snapshot of a time when its giver was in no group yet."""
    store = make_cluster(*THREE, env={"PYGMY_CLUSTER_SNAPSHOT_ENTRIES": "100"})
    with Customers(store) as customers:
        wait_until(lambda: min(row["log_index"] for row in rows_of(store).values()
                               if row["kind"] == "order") > 250, 30, "a snapshot was taken")
        customers.go_on()
    first, second = followers_of(store, "order")
    store.do("reseed", first)
    do(store, "move-leader", "order", first)
    store.do("reseed", second)
    assert_all_equal(store)
    assert "a snapshot was installed" in store.read(f"{second}.log")


@pytest.mark.parametrize("group, other", [GROUPS, GROUPS[::-1]])
def test_one_is_reseeded_while_the_other_group_has_no_majority(store, group, other):
    name = followers_of(store, group)[0]
    store.stop(name)
    shutil.rmtree(store.path(name))
    broken = followers_of(store, other)
    for one in broken:
        store.stop(one)
    assert "begins anew as id 4" in store.do("reseed", name).stdout
    listed = store.pygmy("cluster", "list", group, "--json")
    assert listed.code == DONE and [one["group"] for one in listed.json["groups"]] == [group]
    assert {one["name"]: one["id"] for one in listed.json["groups"][0]["members"]}[name] == 4
    # Who asks for all is shown what there is, and told what there is not.
    listed = store.pygmy("cluster", "list", "--plain", "--timeout", "1")
    assert listed.code == UNANSWERED and listed.stderr, listed
    assert {row.split("\t")[0] for row in listed.stdout.splitlines()} == {group}
    for one in broken:
        store.start(one)
    assert_all_equal(store)


# Runs a script up to the call, which is counted, of one of some functions of it: then it is killed.
KILLED_BEFORE = """
import os, runpy, signal, sys
functions, left, script = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3]
sys.argv = sys.argv[3:]
def trace(frame, event, _):
    global left
    if frame.f_code.co_filename == script and frame.f_code.co_name in functions:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.settrace(trace)
runpy.run_path(script, run_name="__main__")
"""


def killed_before(store, steps, number, *words):
    """A verb of scripts/cluster that is killed before its call of this number of one of the
    functions in @steps. Returns whether it made so many."""
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE, steps, str(number),
                           *store.command(*words)], env=store.env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode in (DONE, -signal.SIGKILL), done
    return done.returncode != DONE


def kept_of(store, name):
    """The directories that were kept aside, and the id that each was written under, by itself."""
    kept = {}
    for path in glob.glob(store.path(f"{name}.id-*")):
        with open(os.path.join(path, "identity"), encoding="utf-8") as file:
            kept[os.path.basename(path)] = int(file.read().rpartition("replica = ")[2])
    return kept


@pytest.mark.parametrize("between, steps, least", [
    ("nothing", "ask,run_pygmy,look,keep_aside,set_in_config", 9),
    ("start", "keep_aside,set_in_config,run_pygmy", 5),
    ("restart", "keep_aside,set_in_config,run_pygmy", 5),
    ("down and up", "keep_aside,set_in_config", 2),
])
def test_a_reseed_that_was_killed_is_run_again(store, between, steps, least):
    """Between any two steps, whatever else is done then: no id has two directories, each that is
    kept says whose it was, and the second run does the rest."""
    name, number, ids = followers_of(store, "catalog")[0], 1, [1]
    while killed_before(store, steps, number, "reseed", name):
        if between in ("start", "restart"):
            store.script(between, name)
        elif between != "nothing":
            store.down()
            store.up()
        store.do("reseed", name)
        member = members_of(store, "catalog")[name]
        assert member["role"] == "voter" and member["id"] > max(ids[-1], 3)
        ids.append(member["id"])
        for kept, id in kept_of(store, name).items():
            assert kept == f"{name}.id-{id}"
        number += 1
    assert number > least
    joined = [tuple(line.split()) for line in store.read("joined").splitlines()]
    assert {(name, str(id)) for id in ids[1:]} <= set(joined)
    assert_all_equal(store)


def test_a_reseed_that_was_killed_while_it_waits_is_run_again(store):
    """For a newcomer that stands still: it is removed like any other, whatever it has come to."""
    name = followers_of(store, "order")[0]
    with subprocess.Popen(store.command("reseed", name), env=store.env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as first:
        told = next(line for line in first.stdout if "begins anew" in line)
        wait_until(lambda: os.path.exists(store.path("joined")), what=f"{name} has a directory")
        os.kill(int(told.rpartition("pid ")[2]), signal.SIGSTOP)
        wait_until(lambda: members_of(store, "order").get(name, {}).get("id") == 4)
        first.kill()
        first.stdout.read()  # which ends when its child has ended as well
    assert "begins anew as id 5" in store.do("reseed", name).stdout
    assert members_of(store, "order")[name]["role"] == "voter"
    assert_all_equal(store)


def test_a_damaged_one_is_reseeded(store):
    name = leader_of(store, "catalog")
    with Customers(store) as customers:
        store.stop(name)
        os.truncate(store.path(name, "log.mark"), 0)
        store.start(name)
        wait_until(lambda: "scripts/cluster reseed NAME" in store.read(f"{name}.log"))
        store.do("reseed", name)
        customers.go_on()
    assert_all_equal(store)


@pytest.mark.limit_s(240)
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_one_whose_tables_differ_is_reseeded(store, role):
    """It ends with status 5, stays down, and says by which command it comes back."""
    customers = Customers(store)
    wait_until(lambda: store.pygmy("verify").code == 0, WELL_S)
    name = leader_of(store, "catalog") if role == "leader" else followers_of(store, "catalog")[0]
    with contextlib.closing(sqlite3.connect(store.path(name, "state.db"), timeout=10)) as tables, \
            tables:
        assert tables.execute("UPDATE item SET price_cents = price_cents - 1 WHERE id = ?",
                              [customers.item]).rowcount == 1
    with customers:
        wait_until(lambda: f"{name:<12} {'-':>8} failed " in store.script("status").stdout, 120,
                   f"{name} has stopped")
        assert "(ended with status 5)" in store.script("status").stdout
        assert f"scripts/cluster reseed {name}" in store.read(f"{name}.log")
        customers.go_on()
        assert "begins anew as id 4" in store.do("reseed", name).stdout
        customers.go_on()
    assert_all_equal(store)
    assert members_of(store, "catalog")[name]["id"] == 4


def test_a_directory_that_was_there_is_not_made_again(make_cluster):
    """A fourth that has a vote and then loses its data has no second beginning under its id."""
    store = grown(make_cluster, "order")
    do(store, "add", "order-4")
    store.stop("order-4")
    shutil.rmtree(store.path("order-4"))
    store.start("order-4")
    wait_until(lambda: "scripts/cluster reseed order-4" in store.read("order-4.log"))
    store.down()
    store.up()
    assert not os.path.exists(store.path("order-4"))
    store.do("reseed", "order-4")
    assert members_of(store, "order")["order-4"]["id"] == 5
    assert_all_equal(store)
