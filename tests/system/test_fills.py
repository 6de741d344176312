"""Reads of a catalog of three replicas that name the log index which is enough for them.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from bus import Client
from replicas import leader_of, replicas_of
from shop import add_item, bus_endpoint

OK, INVALID, NOT_FOUND, UNAVAILABLE = 0, 200, 201, 103
READS = 30  # one after the other: each replica gets some


@pytest.fixture(name="store")
def store_fixture(make_cluster):
    return make_cluster("--catalogs", "3")


def fill(client, op, applied, service="catalog", **members):
    return client.call(service, {"op": op, "applied": applied, **members})


def write(store, client, op, key, **members):
    """The answer to a write, made once."""
    request = {"op": op, "key": key, "stamp": client.log_time(), **members,
               "secret": store.read("cluster.secret").strip()}
    status, body = client.call("catalog.leader", request)
    assert status == OK, body
    return body


def test_every_replica_has_applied_what_was_asked_for(store):
    """Whoever answers: of the item it says what the write of that index made of it, or what came
    later; that it is gone, once its removal is applied; and of its topic who is in it."""
    client = Client(bus_endpoint(store))
    add_item(store, 7, title="T", price_cents=1, topic="Poetry")
    for number in range(READS):
        item = write(store, client, "stock", f"k{number}", id=7, change=1)["item"]
        status, body = fill(client, "lookup", item["version"], id=7)
        assert status == OK and body["item"] == item
        status, body = fill(client, "topic", item["version"], topic="POETRY")
        assert status == OK and body["ids"] == [7] and body["key"] == "topic:poetry"
    write(store, client, "item_remove", "gone", id=7)
    _, body = client.call("catalog", {"op": "movements", "id": 7, "limit": 500})
    gone = body["movements"][-1]  # all that was in stock
    assert gone["change"] == -READS
    for _ in range(READS):
        assert fill(client, "lookup", gone["log_index"], id=7)[0] == NOT_FOUND
        status, body = fill(client, "topic", gone["log_index"], topic="poetry")
        assert status == OK and body["ids"] == []
    client.close()


def test_no_majority_is_needed(store):
    """A replica that is left alone answers from what it has applied; a linearizable read it can't
    make."""
    client = Client(bus_endpoint(store))
    add_item(store, 7, title="T", price_cents=1)
    item = write(store, client, "stock", "k", id=7, change=3)["item"]
    for _ in range(READS):  # it is applied everywhere now
        assert fill(client, "lookup", item["version"], id=7)[0] == OK
    leader = leader_of(store, "catalog")
    others = [name for name in replicas_of("catalog") if name != leader]
    store.stop(leader)
    store.stop(others[0])
    status, body = fill(client, "lookup", item["version"], id=7)
    assert status == OK and body["item"] == item
    assert client.call("catalog", {"op": "lookup", "id": 7})[0] == UNAVAILABLE
    client.close()


def test_what_is_not_there_in_time_is_unavailable(store):
    """An index that nobody has is waited for a second, and said not to have come; the replicas
    serve on."""
    client = Client(bus_endpoint(store))
    add_item(store, 7, title="T", price_cents=1)
    for _ in range(4):
        assert fill(client, "lookup", 2 ** 62, id=7)[0] == UNAVAILABLE
    assert fill(client, "lookup", -1, id=7)[0] == INVALID
    assert fill(client, "lookup", 0, title="T")[0] == INVALID
    for _ in range(READS):
        assert client.call("catalog", {"op": "lookup", "id": 7})[0] == OK
    status, body = fill(client, "topic", 0, "catalog.leader", topic="none")
    assert status == OK and body["ids"] == []
    client.close()
