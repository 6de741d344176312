"""What one sees of groups of replicas, and how to take some of them away.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import re
import signal

from bus import Client
from cluster import wait_until
from shop import bus_endpoint

GROUPS = ("catalog", "order")
BROKERS = (1, 2)
WELL_S = 20.0  # how long a store is given to be whole again, on a busy machine


def replicas_of(group):
    return [f"{group}-{i}" for i in (1, 2, 3)]


def rows_of(store):
    """The rows of pygmy status, by name."""
    return {row["name"]: row for row in store.pygmy("status", "--json").json["processes"]}


def leader_among(rows, group):
    """The row of a group's leader. None when there is none, or more than one says so."""
    leaders = [row for row in rows.values() if row["kind"] == group and row["role"] == "leader"]
    return leaders[0] if len(leaders) == 1 else None


def leader_row(store, group):
    """The same, waited for. With a process away, each look takes as long as pygmy status waits."""
    return wait_until(lambda: leader_among(rows_of(store), group), WELL_S,
                      f"one leader of the {group} replicas")


def leader_of(store, group):
    return leader_row(store, group)["name"]


def followers_of(store, group):
    leader = leader_of(store, group)
    return [name for name in replicas_of(group) if name != leader]


def workers_of(store, broker):
    """Who serves what at a broker: {service: {names}}, as the broker itself says."""
    client = Client(bus_endpoint(store, broker))
    try:
        status, body = client.call(f"node.broker-{broker}", {"op": "status"})
        assert status == 0, body
        return {service["name"]: {worker["name"] for worker in service["workers"]}
                for service in body["services"]}
    finally:
        client.close()


def is_served(store):
    """Whether each broker has all replicas in its ready queues, and one leader of each group."""
    for broker in BROKERS:
        workers = workers_of(store, broker)
        for group in GROUPS:
            if workers.get(group) != set(replicas_of(group)):
                return False
            if len(workers.get(f"{group}.leader", ())) != 1:
                return False
    return True


def wait_well(store):
    """Until every process answers, has caught up, and is at work at both brokers."""
    def is_well():
        status = store.pygmy("status", "--json")
        return status.code == 0 and is_served(store) and all(
            row["lag"] in (0, None) for row in status.json["processes"])
    wait_until(is_well, WELL_S, "the store is whole")


def wait_back(store, name):
    """Until a replica that was away answers, is at work again, and has all that was committed in
    its group when this was called: while others go on writing, it is always a little behind."""
    group = name.split("-")[0]
    committed = leader_row(store, group)["commit_index"]

    def is_back():
        row = rows_of(store)[name]
        return row["state"] == "up" and row["applied_index"] >= committed and all(
            name in workers_of(store, broker).get(group, ()) for broker in BROKERS)
    wait_until(is_back, WELL_S, f"{name} has caught up")


def kill_for_good(store, *names):
    """kill -9 of all of them at one moment; and whatever the supervisor has started in their place
    by then is told to go, and is not started again."""
    for pid in [store.pid(name) for name in names]:
        os.kill(pid, signal.SIGKILL)
    for name in names:
        store.stop(name)


@contextlib.contextmanager
def away(store, *names):
    """These are shut down for as long as the block lasts; then the store is whole again."""
    for name in names:
        store.stop(name)
    yield
    for name in names:
        store.start(name)
    wait_well(store)


class Reader:
    """Reads by the one replica that is named, out of what it has itself.

    Which replica answers a read is the broker's choice; so this asks until it was its turn, which
    its own count of the requests tells. Nobody else may ask the same meanwhile."""

    def __init__(self, store, name):
        self.client = Client(bus_endpoint(store))
        self.name, self.group = name, name.split("-")[0]

    def count(self, op):
        """How many requests of this kind the replica has answered."""
        status, body = self.client.call(f"node.{self.name}", {"op": "metrics"})
        assert status == 0, body
        return sum(int(number) for number in re.findall(
            rf'^pygmy_service_requests_total{{service="{self.group}",op="{op}",.*}} (\d+)$',
            body["text"], re.MULTILINE))

    def read(self, op, **members):
        def attempt():
            before = self.count(op)
            answer = self.client.call(self.group, {"op": op, **members})
            return answer if self.count(op) > before else None
        status, body = wait_until(attempt, what=f"it is the turn of {self.name}")
        assert status == 0, body
        return body

    def close(self):
        self.client.close()


def read_at(store, name, op, **members):
    reader = Reader(store, name)
    try:
        return reader.read(op, **members)
    finally:
        reader.close()
