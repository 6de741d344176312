"""The bridge with the real store behind it: an item's life over HTTP.

SPDX-License-Identifier: Apache-2.0
"""

import pytest


@pytest.fixture
def store(shared_cluster):
    return shared_cluster


def add(store, item, **fields):
    answer = store.admin("POST", "/items", {"id": item, "title": f"Item {item}",
                                            "price_cents": 250, **fields})
    assert answer.status == 201, answer
    return answer


def kind(answer):
    return answer.json["type"].rsplit(":", 1)[1]


def test_an_items_life(store):
    """Added, found, bought, cancelled, restocked, edited under its version, removed: each step sees
    the one before it, and the movements add up."""
    item = 910001
    add(store, item, authors="Ann Author", topic="bridge tests", stock=3, year=-44)
    page = store.get("/search/bridge%20tests").json
    assert [found["id"] for found in page["items"]] == [item] and page["next"] is None
    assert store.get("/search?q=item+910001&author=author").json["items"] == page["items"]

    bought = store.post(f"/buy/{item}", {"quantity": 2})
    assert bought.status == 201 and bought.json["lines"][0]["stock_left"] == 1
    assert bought.json["total_cents"] == 500
    refused = store.post(f"/buy/{item}", {"quantity": 2})
    assert refused.status == 409 and kind(refused) == "out-of-stock"
    assert (refused.json["requested"], refused.json["available"]) == (2, 1)
    order = bought.headers["Location"]
    assert store.get(order).json == bought.json
    assert store.post(order + "/cancel").json["state"] == "cancelled"
    assert store.get(f"/lookup/{item}").json["stock"] == 3

    moved = store.admin("POST", f"/items/{item}/stock", {"change": -3, "reason": "flood"})
    assert moved.json["stock"] == 0
    short = store.admin("POST", f"/items/{item}/stock", {"change": -1})
    assert short.status == 409 and kind(short) == "out-of-stock"
    old, new = f'"{bought.json["lines"][0]["version"]}"', moved.headers["ETag"]
    assert store.admin("PATCH", f"/items/{item}", {"price_cents": 1},
                       {"If-Match": old}).status == 412
    edited = store.admin("PATCH", f"/items/{item}", {"price_cents": 1}, {"If-Match": new})
    assert edited.json["price_cents"] == 1 and edited.headers["ETag"] != new
    assert store.get(f"/lookup/{item}", headers={"If-None-Match": new}).status == 200

    history = store.admin("GET", f"/items/{item}/movements").json
    assert (history["initial"], history["moved"], history["sold"]) == (3, -3, 0)
    assert [movement["reason"] for movement in history["movements"]] == ["flood"]
    assert store.admin("DELETE", f"/items/{item}").status == 204
    assert store.get(f"/lookup/{item}").status == 404
    assert store.get("/search/bridge%20tests").json["items"] == []


def test_pages_follow_their_links(store):
    """All items of a topic come once, in pages of two, by the links alone."""
    ids = [910101, 910102, 910103, 910104, 910105]
    for item in ids:
        add(store, item, topic="paged tests")
    found, target = [], "/search/paged%20tests?limit=2"
    while target:
        answer = store.get(target)
        found.append([item["id"] for item in answer.json["items"]])
        link = answer.headers["Link"]
        target = link[1:link.index(">")] if link else None
    assert found == [ids[:2], ids[2:4], ids[4:]]


def test_a_repeated_change_has_one_effect(store):
    """Writes of the operator are replayed by their key, and told so; another content is 422."""
    item = 910201
    add(store, item, stock=10)
    key = {"Idempotency-Key": "restock-910201"}
    path = f"/items/{item}/stock"
    first = store.admin("POST", path, {"change": 5}, key)
    again = store.admin("POST", path, {"change": 5}, key)
    assert first.json == again.json and again.json["stock"] == 15
    assert first.headers["Idempotency-Replayed"] is None
    assert again.headers["Idempotency-Replayed"] == "true"
    other = store.admin("POST", path, {"change": 6}, key)
    assert other.status == 422 and kind(other) == "key-reused"
    assert store.get(f"/lookup/{item}").json["stock"] == 15


@pytest.mark.parametrize("fields, says", [
    ({"id": 0}, "id"), ({"price_cents": -1}, "price_cents"), ({"price_cents": "1"}, "price_cents"),
    ({"title": ""}, "title"), ({"title": 7}, "title"), ({"stock": -1}, "stock"),
    ({"year": 1.5}, "year"), ({"title": "x" * 513}, "title"), ({"currency": "dollar"}, "currency"),
])
def test_a_bad_item_is_refused_by_name(store, fields, says):
    """What the catalog refuses is told by the member that was wrong."""
    answer = store.admin("POST", "/items", {"id": 910301, "title": "t", "price_cents": 1, **fields})
    assert answer.status == 400 and kind(answer) == "invalid", answer
    assert says in answer.json["detail"]
    assert store.get("/lookup/910301").status == 404
