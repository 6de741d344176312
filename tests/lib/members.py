"""The members of a group, as `pygmy cluster` shows and changes them.

SPDX-License-Identifier: Apache-2.0
"""

from cluster import wait_until
from replicas import WELL_S

DONE, REFUSED, USAGE, UNANSWERED = 0, 1, 2, 3
PATIENCE_S = 50
THREE = ["--brokers", "2", "--catalogs", "3", "--orders", "3"]


def grown(make_cluster, group):
    """A store of three, which has been given a fourth: it waits to be added."""
    store = make_cluster(*THREE)
    store.down()
    store.flags = [*THREE, f"--{group}s", "4"]
    return store.up()


def members_of(store, group):
    """The members of a group by their names, as its leader lists them."""
    groups = store.pygmy("cluster", "list", "--json").json["groups"]
    return {member["name"]: member for answer in groups if answer["group"] == group
            for member in answer["members"]}


def role_of(store, group, name):
    return members_of(store, group).get(name, {}).get("role")


def do(store, *words):
    """What has to succeed, however long it takes on a busy machine."""
    result = store.pygmy("cluster", *words, "--timeout", PATIENCE_S)
    assert result.code == DONE, result
    return result


def assert_all_equal(store):
    """Every replica is up, has caught up, and holds what the others hold."""
    wait_until(lambda: store.pygmy("status").code == 0, WELL_S, "healthy")
    verified = wait_until(lambda: (got := store.pygmy("verify")).code != UNANSWERED and got, WELL_S)
    assert verified.code == 0, verified
