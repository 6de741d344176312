"""Members that come and go while customers buy: added, removed, the leadership moved, and nobody
notices. What is re-seeded is in test_reseed.py.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import signal
import subprocess

import pytest

from cluster import program, wait_until
from customers import Customers
from members import (REFUSED, THREE, UNANSWERED, USAGE, assert_all_equal, do, grown,
                     members_of, role_of)
from replicas import GROUPS, WELL_S, followers_of, leader_of, rows_of

PATIENCE_S = 60  # with one that stands still while the test does other things


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    return make_cluster(*THREE)


@pytest.mark.parametrize("group", GROUPS)
def test_a_fourth_comes_and_another_one_goes(make_cluster, group):
    """And the one that went, the leader, comes back with what it has."""
    store = grown(make_cluster, group)
    fourth = f"{group}-4"
    wait_until(lambda: f"{fourth} waits to be added to its group" in store.pygmy("status").stdout,
               WELL_S)
    with Customers(store) as customers:
        assert do(store, "add", fourth).stdout == f"{fourth} has a vote in its group\n"
        assert role_of(store, group, fourth) == "voter"
        customers.go_on()
        gone = leader_of(store, group)
        removed = do(store, "remove", gone)
        assert f"{gone} leads its group; " in removed.stderr
        assert gone not in members_of(store, group)
        customers.go_on()
        wait_until(lambda: f"{gone} is not in its group" in store.pygmy("status").stdout, WELL_S)
        do(store, "add", gone)
        customers.go_on()
    assert_all_equal(store)
    assert len(members_of(store, group)) == 4


@pytest.mark.parametrize("group", GROUPS)
def test_the_leadership_is_moved(store, group):
    with Customers(store) as customers:
        for name in followers_of(store, group):
            assert do(store, "move-leader", group, name).stdout == \
                f"{name} leads the {group} replicas\n"
            assert leader_of(store, group) == name
            do(store, "move-leader", group, name)  # it does already
            customers.go_on()
        do(store, "move-leader", group)
        assert leader_of(store, group) != name
        customers.go_on()
    assert_all_equal(store)


class Adding:
    """`pygmy cluster add NAME`, which can't go on since NAME stands still: a learner by now."""

    def __init__(self, store, group, name):
        self.pid = store.pid(name)
        os.kill(self.pid, signal.SIGSTOP)
        self.process = subprocess.Popen(
            [program("pygmy"), "--config", store.config, "cluster", "add", name,
             "--timeout", str(PATIENCE_S)],
            env=store.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        wait_until(lambda: role_of(store, group, name) == "learner", what=f"{name} is a learner")

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.mark.limit_s(300)  # as a busy machine takes for what has deadlines of its own
def test_a_leader_that_is_killed_in_the_middle_of_an_add_costs_nothing(make_cluster):
    """Whoever waits for it goes on with the next leader; whoever is killed, too, runs it again."""
    group, name = "catalog", "catalog-4"
    store = grown(make_cluster, group)
    with Customers(store) as customers:
        adding = Adding(store, group, name)
        store.kill(leader_of(store, group))
        adding.go_on()
        told = adding.process.communicate(timeout=PATIENCE_S)[0]
        assert told == f"{name} has a vote in its group\n"
        do(store, "remove", name)
        adding = Adding(store, group, name)
        adding.end()
        store.kill(leader_of(store, group))
        customers.go_on()
        adding.go_on()
        do(store, "add", name)
        customers.go_on()
    assert_all_equal(store)
    assert role_of(store, group, name) == "voter"


def test_what_is_so_already_is_done_already(store):
    leader, follower = leader_of(store, "catalog"), followers_of(store, "catalog")[0]
    before = members_of(store, "catalog")
    added = do(store, "add", follower, "--json").json
    assert added["changed"] is False and added["member"]["role"] == "voter"
    do(store, "move-leader", "catalog", leader)
    assert do(store, "remove", follower, "--json").json["changed"] is True
    assert do(store, "remove", follower, "--json").json["changed"] is False
    assert do(store, "add", follower, "--json").json["changed"] is True
    after = members_of(store, "catalog")
    assert {name: member["id"] for name, member in after.items()} == \
        {name: member["id"] for name, member in before.items()}
    assert after[leader]["leader"] and not after[follower]["leader"]


def test_a_voter_that_is_down_stands_in_the_way_of_all_but_its_removal(make_cluster):
    store = grown(make_cluster, "order")
    down = followers_of(store, "order")[0]
    store.stop(down)
    refused = store.pygmy("cluster", "add", "order-4", "--timeout", "2")
    # The learner is in the log by now, or not: a voter that is down hears of neither.
    assert refused.code == UNANSWERED and down in refused.stderr, refused
    do(store, "remove", down)
    do(store, "add", "order-4")
    assert sorted(members_of(store, "order")) == sorted(
        {"order-1", "order-2", "order-3", "order-4"} - {down})


def test_one_that_is_not_there_is_not_waited_for_for_ever(make_cluster):
    store = grown(make_cluster, "order")
    store.stop("order-4")
    refused = store.pygmy("cluster", "add", "order-4", "--timeout", "1")
    assert refused.code == UNANSWERED and "order-4 is not heard" in refused.stderr, refused
    assert rows_of(store)["order-4"]["role"] is None
    # It has no vote, and so is in nobody's way.
    do(store, "remove", followers_of(store, "order")[0])
    do(store, "remove", "order-4")
    assert "order-4" not in members_of(store, "order")


def test_the_only_one_is_not_removed(cluster):
    refused = cluster.pygmy("cluster", "remove", "catalog-1")
    assert refused.code == REFUSED and "only voter" in refused.stderr, refused
    assert cluster.pygmy("cluster", "move-leader", "catalog").code == UNANSWERED
    pid = cluster.pid("catalog-1")
    refused = cluster.script("reseed", "catalog-1")
    assert refused.code == REFUSED and "only voter" in refused.stderr, refused
    assert cluster.pid("catalog-1") == pid
    refused = cluster.script("reseed", "bridge-1")
    assert refused.code == REFUSED and "no replica" in refused.stderr, refused


@pytest.mark.parametrize("words, code, told", [
    (["add", "nobody"], USAGE, "no replica"),
    (["add", "bridge-1"], USAGE, "no replica"),
    (["remove", "nobody"], REFUSED, "no group"),
    (["move-leader", "catalog", "nobody"], REFUSED, "no member"),
    (["move-leader", "bridge"], USAGE, "none of catalog, order"),
    (["add"], USAGE, "takes the NAME"),
    (["list", "bridge"], USAGE, "none of catalog, order"),
    (["list", "catalog", "order"], USAGE, "takes catalog or order"),
    (["join", "catalog-4"], USAGE, "none of list, add, remove"),
])
def test_what_cannot_be_meant_is_refused(shared_cluster, words, code, told):
    result = shared_cluster.pygmy("cluster", *words)
    assert result.code == code and told in result.stderr, result


def test_the_groups_are_listed(shared_cluster):
    rows = shared_cluster.pygmy("cluster", "list", "--plain").stdout.splitlines()
    assert [row.split("\t")[:4] for row in rows] == [
        ["catalog", "catalog-1", "1", "leader"], ["order", "order-1", "1", "leader"]]
    groups = json.loads(shared_cluster.pygmy("cluster", "list", "--json").stdout)["groups"]
    assert [(group["group"], group["leader"]) for group in groups] == [
        ("catalog", "catalog-1"), ("order", "order-1")]


def test_the_secret_is_asked_for(shared_cluster):
    env = dict(shared_cluster.env)
    path = shared_cluster.path("elsewhere.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(shared_cluster.read("cluster.conf").replace("    secret = cluster.secret\n", ""))
    done = subprocess.run([program("pygmy"), "--config", path, "cluster", "list"], env=env,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 4, done
