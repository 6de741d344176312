"""What each route of the bridge asks of the store, and what it makes of the answer.

The store is played by the test; see tests/lib/bridge.py.

SPDX-License-Identifier: Apache-2.0
"""

import re

import pytest

from bridge import TOKEN, Bridge
from cluster import wait_until

ITEM = {"id": 20001, "title": "A title", "authors": "A. One; B. Two", "topic": "classics",
        "year": -800, "isbn": "", "price_cents": 1999, "currency": "USD", "stock": 12,
        "version": 345}
ORDER = {"order_number": 17, "state": "active",
         "lines": [{"id": 20001, "title": "A title", "quantity": 2, "price_cents": 1999,
                    "stock_left": 10, "version": 346}],
         "total_cents": 3998, "currency": "USD", "created_at": "2026-01-02T03:04:05.678Z",
         "cancelled_at": None}
SHORT = {name: ITEM[name] for name in ("id", "title", "authors", "topic", "price_cents")}


@pytest.fixture(scope="module")
def running():
    made = Bridge(bus=True)
    yield made
    made.close()


@pytest.fixture
def bridge(running):
    """A bridge whose store has seen nothing yet and answers with the samples above."""
    item = {"item": ITEM, "replayed": False, "log_time": 1}
    order = {"order": ORDER, "replayed": False, "log_time": 1}
    running.bus.answers.update({
        "search": lambda request: (0, {"items": [SHORT], "next": None, "log_time": 1}),
        "lookup": lambda request: (0, {"item": ITEM, "log_time": 1}),
        "buy": lambda request: (0, order),
        "cancel": lambda request: (0, order),
        "order": lambda request: (0, order),
        "orders": lambda request: (0, {"orders": [ORDER], "next": None}),
        "item_add": lambda request: (0, item),
        "item_edit": lambda request: (0, item),
        "stock": lambda request: (0, item),
        "item_remove": lambda request: (0, {"id": 20001, "replayed": False, "log_time": 1}),
        "movements": lambda request: (0, {"id": 20001, "initial": 0, "moved": 12, "sold": 0,
                                          "stock": 12, "restock": None, "movements": [],
                                          "next": None, "log_time": 1}),
    })
    running.bus.requests.clear()
    return running


def asked(bridge):
    """The one request that the store got, less what differs each time."""
    assert len(bridge.bus.requests) == 1, bridge.bus.requests
    service, request = bridge.bus.requests[0]
    for name in ("request_id", "key", "stamp", "secret"):
        request.pop(name, None)
    return service, request


def assert_problem(answer, status, kind, *says):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["type"] == f"urn:pygmy:problem:{kind}", answer
    assert answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["Request-Id"]
    for word in says:
        assert word in answer.json.get("detail", ""), answer


# --- Reads ----------------------------------------------------------------------------------------


def test_search(bridge):
    """All parameters reach the store under its names; the answer is the page."""
    answer = bridge.get("/search?q=harry+potter&topic=a%26b&author=x&limit=2&cursor=c%3D1")
    assert answer.status == 200 and answer.json == {"items": [SHORT], "next": None}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache" and answer.headers["Link"] is None
    assert asked(bridge) == ("catalog", {"op": "search", "query": "harry potter", "topic": "a&b",
                                         "author": "x", "limit": 2, "cursor": "c=1"})


def test_search_by_topic_and_for_everything(bridge):
    """The topic is a segment of the path, decoded; without parameters there is no condition."""
    assert bridge.get("/search/distributed%20systems?limit=500").status == 200
    assert asked(bridge) == ("catalog", {"op": "search", "topic": "distributed systems",
                                         "limit": 500})
    bridge.bus.requests.clear()
    assert bridge.get("/search?q=").status == 200
    assert asked(bridge) == ("catalog", {"op": "search"})


def test_the_next_page_is_linked(bridge):
    """Link has the same query with the next cursor, and can be followed."""
    bridge.bus.answers["search"] = lambda request: (
        0, {"items": [], "next": None if "cursor" in request else 'a"&b>', "log_time": 1})
    answer = bridge.get("/search?q=a%2Bb&limit=1")
    target = re.fullmatch(r'<(/[^>]*)>; rel="next"', answer.headers["Link"]).group(1)
    assert target == "/search?q=a%2Bb&limit=1&cursor=a%22%26b%3E"
    bridge.bus.requests.clear()
    assert bridge.get(target).json["next"] is None
    assert asked(bridge)[1] == {"op": "search", "query": "a+b", "limit": 1, "cursor": 'a"&b>'}


def test_lookup_and_its_conditions(bridge):
    """The item with its version as the tag; who has that version gets 304 without a body."""
    answer = bridge.get("/lookup/20001")
    assert answer.status == 200 and answer.json == ITEM
    assert answer.headers["ETag"] == '"345"' and answer.headers["Cache-Control"] == "no-cache"
    assert asked(bridge) == ("catalog", {"op": "lookup", "id": 20001})
    length = len(answer.body)
    for tags, status in [('"345"', 304), ('W/"345"', 304), ('"1", "345"', 304), ("*", 304),
                         ('"346"', 200), ("345", 200)]:
        answer = bridge.get("/lookup/20001", headers={"If-None-Match": tags})
        assert answer.status == status, tags
        assert answer.headers["ETag"] == '"345"'
        assert (answer.body == b"") == (status == 304)
        assert int(answer.headers["Content-Length"]) == length


def test_lookup_by_title(bridge):
    """The title comes decoded; the tag holds the id, because a title may come to mean another."""
    answer = bridge.get("/lookup?title=caf%C3%A9+au%20lait")
    assert answer.status == 200 and answer.headers["ETag"] == '"345-20001"'
    assert asked(bridge) == ("catalog", {"op": "lookup", "title": "café au lait"})
    assert bridge.get("/lookup?title=x", headers={"If-None-Match": '"345"'}).status == 200
    assert bridge.get("/lookup?title=x", headers={"If-None-Match": '"345-20001"'}).status == 304


def test_orders_are_read(bridge):
    """One by its number, many by pages."""
    assert bridge.get("/orders/17").json == ORDER
    assert asked(bridge) == ("order", {"op": "order", "number": 17})
    bridge.bus.requests.clear()
    bridge.bus.answers["orders"] = lambda request: (0, {"orders": [ORDER], "next": "16"})
    answer = bridge.get("/orders?limit=1")
    assert answer.json == {"orders": [ORDER], "next": "16"}
    assert answer.headers["Link"] == '</orders?limit=1&cursor=16>; rel="next"'
    assert asked(bridge) == ("order", {"op": "orders", "limit": 1})


def test_head_is_get_without_a_body(bridge):
    """The same head, and nothing after it."""
    answer = bridge.http("HEAD", "/lookup/20001")
    assert answer.status == 200 and answer.body == b""
    assert answer.headers["ETag"] == '"345"'
    assert int(answer.headers["Content-Length"]) == len(bridge.get("/lookup/20001").body)


# --- Buying ---------------------------------------------------------------------------------------


def test_buy_without_a_key_makes_one(bridge):
    """One copy unless a quantity is given; the order, its address, and the key that was used."""
    answer = bridge.post("/buy/20001")
    assert answer.status == 201 and answer.json == ORDER
    assert answer.headers["Location"] == "/orders/17"
    assert answer.headers["Idempotency-Replayed"] is None
    (request,) = bridge.bus.of("buy")
    assert request["key"] == answer.headers["Idempotency-Key"] and len(request["key"]) == 32
    assert isinstance(request["stamp"], int)
    assert asked(bridge) == ("order.leader",
                             {"op": "buy", "lines": [{"id": 20001, "quantity": 1}]})
    bridge.bus.requests.clear()
    assert bridge.post("/buy/20001", {"quantity": 1000000}).status == 201
    assert asked(bridge)[1]["lines"] == [{"id": 20001, "quantity": 1000000}]


def test_orders_take_lines_and_a_key(bridge):
    """The lines go to the store as they are, with the client's key; a replay is told."""
    bridge.bus.answers["buy"] = lambda request: (
        0, {"order": ORDER, "replayed": True, "log_time": 1})
    lines = [{"id": 20001, "quantity": 2}, {"id": 1, "quantity": 1}]
    answer = bridge.post("/orders", {"lines": lines}, {"Idempotency-Key": "a!~"})
    assert answer.status == 201 and answer.headers["Idempotency-Replayed"] == "true"
    assert answer.headers["Idempotency-Key"] == "a!~"
    (request,) = bridge.bus.of("buy")
    assert request["key"] == "a!~" and request["lines"] == lines


def test_keys_are_checked(bridge):
    """Required for orders, 1 to 255 visible characters, and one."""
    body = {"lines": [{"id": 1, "quantity": 1}]}
    assert_problem(bridge.post("/orders", body), 400, "key-missing", "Idempotency-Key")
    for key in ("", "a b", "x" * 256, "caf\xe9"):
        answer = bridge.post("/orders", body, {"Idempotency-Key": key.encode("latin-1")})
        assert_problem(answer, 400, "invalid", "Idempotency-Key")
    assert bridge.post("/orders", body, {"Idempotency-Key": "x" * 255}).status == 201
    received = bridge.raw(b"POST /buy/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                          b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n")
    assert b" 400 " in received and b"more than one Idempotency-Key" in received
    assert len(bridge.bus.of("buy")) == 1


@pytest.mark.parametrize("quantity", [0, -1, 1000001, 1.5, 1.0, "1", None, True, [1], 10**30])
def test_quantities_are_whole_and_in_range(bridge, quantity):
    """All else is refused here, by name."""
    key = {"Idempotency-Key": "k"}
    assert_problem(bridge.post("/buy/1", {"quantity": quantity}), 400, "invalid")
    answer = bridge.post("/orders", {"lines": [{"id": 1, "quantity": 1},
                                               {"id": 1, "quantity": quantity}]}, key)
    assert_problem(answer, 400, "invalid")
    if quantity != 10**30:
        assert "lines[1].quantity" in answer.json["detail"]
    assert bridge.bus.requests == []


@pytest.mark.parametrize("body, says", [
    ({}, "lines"), ({"lines": []}, "lines"), ({"lines": {}}, "lines"),
    ({"lines": [{"id": 1, "quantity": 1}] * 101}, "lines"), ({"lines": [7]}, "lines[0]"),
    ({"lines": [{"id": 1}]}, "lines[0].quantity"), ({"lines": [{"quantity": 1}]}, "lines[0].id"),
    ({"lines": [{"id": "1", "quantity": 1}]}, "lines[0].id"),
    ({"lines": [{"id": 1, "quantity": 1, "colour": "red"}]}, "lines[0].colour"),
    ({"lines": [{"id": 1, "quantity": 1}], "coupon": 1}, "coupon"),
])
def test_orders_are_checked(bridge, body, says):
    """What is wrong with an order is told by its place."""
    answer = bridge.post("/orders", body, {"Idempotency-Key": "k"})
    assert_problem(answer, 400, "invalid", says)
    assert bridge.bus.requests == []


def test_cancel(bridge):
    """No body, an optional key."""
    answer = bridge.post("/orders/17/cancel", headers={"Idempotency-Key": "k"})
    assert answer.status == 200 and answer.json == ORDER
    assert bridge.bus.of("cancel")[0]["key"] == "k"
    assert asked(bridge) == ("order.leader", {"op": "cancel", "number": 17})
    assert_problem(bridge.post("/orders/17/cancel", {}), 400, "invalid", "body")


@pytest.mark.parametrize("code, status, kind, members", [
    (201, 404, "not-found", {"id": 7}),
    (202, 409, "out-of-stock", {"id": 7, "requested": 5, "available": 2}),
    (203, 422, "key-reused", {}), (205, 410, "stamp-old", {}), (206, 409, "wrong-state", {}),
    (210, 403, "forbidden", {}), (212, 409, "limit", {}), (200, 400, "invalid", {"row": 3}),
])
def test_refusals_of_the_store_become_problems(bridge, code, status, kind, members):
    """With the store's words and members, and without a Location."""
    error = {"type": kind, "title": "...", "detail": "what was wrong", "log_time": 5, **members}
    bridge.bus.answers["buy"] = lambda request: (code, {"error": error})
    answer = bridge.post("/buy/7", {"quantity": 5})
    assert_problem(answer, status, kind, "what was wrong")
    assert {name: answer.json[name] for name in members} == members
    assert "log_time" not in answer.json
    assert answer.headers["Location"] is None
    assert answer.headers["Idempotency-Key"] == bridge.bus.of("buy")[0]["key"]


def test_a_strange_answer_is_an_error(bridge):
    """A store that answers without what was asked for is not believed."""
    bridge.bus.answers["lookup"] = lambda request: (0, {"log_time": 1})
    assert bridge.get("/lookup/7").status == 500


# --- The operator's calls -------------------------------------------------------------------------

ADMIN_CALLS = [("POST", "/items", {"id": 1, "title": "t", "price_cents": 1}),
               ("PATCH", "/items/1", {"price_cents": 1}), ("DELETE", "/items/1", None),
               ("POST", "/items/1/stock", {"change": 1}), ("GET", "/items/1/movements", None)]


@pytest.mark.parametrize("method, path, body", ADMIN_CALLS)
def test_the_operators_calls_need_the_token(bridge, method, path, body):
    """None: 401 and how to log in; a wrong one: 403; nothing reaches the store."""
    for headers in ({}, {"Authorization": TOKEN}, {"Authorization": "Basic " + TOKEN},
                    {"Authorization": "Bearer "}):
        answer = bridge.http(method, path, body, headers)
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for token in ("x", TOKEN + "x", TOKEN[:-1], TOKEN + " " + TOKEN):
        answer = bridge.http(method, path, body, {"Authorization": "Bearer " + token})
        assert_problem(answer, 403, "forbidden")
    assert bridge.bus.requests == []


def test_items_are_added_and_edited(bridge):
    """The members go to the store with key and secret, the answer is the item with its tag."""
    body = {"id": 20001, "title": "A title", "price_cents": 1999, "year": None, "stock": 3}
    answer = bridge.admin("POST", "/items", body)
    assert answer.status == 201 and answer.json == ITEM
    assert answer.headers["Location"] == "/lookup/20001" and answer.headers["ETag"] == '"345"'
    (request,) = bridge.bus.of("item_add")
    assert request["secret"] == "the-clusters-secret"
    assert request["key"] == answer.headers["Idempotency-Key"]
    assert asked(bridge) == ("catalog.leader", {"op": "item_add", **body})

    bridge.bus.requests.clear()
    change = {"restock": {"threshold": 0, "amount": 100, "period_ms": 10000}}
    answer = bridge.admin("PATCH", "/items/20001", change, {"If-Match": '"344"'})
    assert answer.status == 200 and answer.headers["ETag"] == '"345"'
    assert asked(bridge) == ("catalog.leader",
                             {"op": "item_edit", "id": 20001, "version": 344, **change})


def test_a_change_demands_the_version(bridge):
    """428 without If-Match, 412 with one that can't be; "*" is any. To remove it is optional."""
    answer = bridge.admin("PATCH", "/items/1", {"title": "x"})
    assert_problem(answer, 428, "version-required", "If-Match")
    for tag in ('W/"3"', '"x"', "3", '"3", "4"', '"3-20001"'):
        answer = bridge.admin("PATCH", "/items/1", {"title": "x"}, {"If-Match": tag})
        assert_problem(answer, 412, "version-conflict")
    assert bridge.bus.requests == []
    assert bridge.admin("PATCH", "/items/1", {"title": "x"}, {"If-Match": "*"}).status == 200
    assert "version" not in asked(bridge)[1]
    bridge.bus.requests.clear()
    bridge.bus.answers["item_remove"] = lambda request: (208, {"error": {"detail": "it is 5"}})
    answer = bridge.admin("DELETE", "/items/1", headers={"If-Match": '"4"'})
    assert_problem(answer, 412, "version-conflict", "it is 5")
    assert asked(bridge) == ("catalog.leader", {"op": "item_remove", "id": 1, "version": 4})


def test_items_are_removed_and_stock_is_moved(bridge):
    """204 without a body; the item after the movement; the movements without the log's time."""
    answer = bridge.admin("DELETE", "/items/20001")
    assert answer.status == 204 and answer.body == b"" and answer.headers["Idempotency-Key"]
    assert asked(bridge) == ("catalog.leader", {"op": "item_remove", "id": 20001})
    bridge.bus.requests.clear()
    answer = bridge.admin("POST", "/items/20001/stock", {"change": -2, "reason": "water"})
    assert answer.status == 200 and answer.json == ITEM
    assert asked(bridge) == ("catalog.leader",
                             {"op": "stock", "id": 20001, "change": -2, "reason": "water"})
    bridge.bus.requests.clear()
    answer = bridge.admin("GET", "/items/20001/movements?limit=3")
    assert answer.status == 200
    assert answer.json == {"id": 20001, "initial": 0, "moved": 12, "sold": 0, "stock": 12,
                           "restock": None, "movements": [], "next": None}
    assert asked(bridge) == ("catalog", {"op": "movements", "id": 20001, "limit": 3})


# --- Bodies, paths, queries -----------------------------------------------------------------------

JSON = {"Content-Type": "application/json", "Idempotency-Key": "k"}


@pytest.mark.parametrize("body", [
    b"{", b"{}x", b"{} {}", b"[]", b"7", b"null", b'{"lines":1,"lines":2}', b'{"lines":NaN}',
    b"{'lines':1}", b'{"lines":\xff}', b'{"a\\u0000":1}', b"\xef\xbb\xbf{}", b"[" * 60000,
    b'{"lines":' * 7000, b'{"lines":[{"id":1,"id":2,"quantity":1}]}', b'{"lines":01}', b"",
])
def test_a_body_is_strict_json(bridge, body):
    """What is not exactly one JSON object is refused, and nothing breaks."""
    assert_problem(bridge.post("/orders", body, JSON), 400, "invalid")
    assert bridge.bus.requests == []
    assert bridge.get("/healthz").status == 200


def test_a_body_has_its_media_type(bridge):
    """application/json, with or without parameters, and as it is."""
    body = b'{"quantity":1}'
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert bridge.post("/buy/1", body, {"Content-Type": kind}).status == 201
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonp"},
                    {"Content-Type": "application/x-www-form-urlencoded"},
                    {"Content-Type": "application/json", "Content-Encoding": "gzip"}):
        assert_problem(bridge.post("/buy/1", body, headers), 415, "media-type")


def test_a_body_where_none_belongs_is_refused(bridge):
    """A read with a body is no read that we know."""
    answer = bridge.http("GET", "/lookup/1", b"{}", {"Content-Type": "application/json"})
    assert_problem(answer, 400, "invalid", "body")


@pytest.mark.parametrize("target, says", [
    ("/lookup/0", "path"), ("/lookup/-1", "path"), ("/lookup/1.5", "path"), ("/lookup/x", "path"),
    ("/lookup/01", "path"), ("/lookup/99999999999999999999", "path"), ("/lookup/%31%", "path"),
    ("/search/%ff", "UTF-8"), ("/search/%00", "control"), ("/search/%zz", "hexadecimal"),
    ("/search?q=%ff", '"q"'), ("/search?q=1&q=2", '"q"'), ("/search?colour=red", '"colour"'),
    ("/search?limit=0", "limit"), ("/search?limit=501", "limit"), ("/search?limit=x", "limit"),
    ("/search?limit=1.0", "limit"), ("/search?limit=", "limit"), ("/orders?limit=-1", "limit"),
    ("/lookup", "title"), ("/lookup?title=", "title"), ("/lookup/1?x=1", '"x"'),
    ("/healthz?x", '"x"'), ("/search/a?q=b", '"q"'),
])
def test_paths_and_queries_are_checked(bridge, target, says):
    """What is wrong is told by its name, and nothing reaches the store."""
    assert_problem(bridge.get(target), 400, "invalid", says)
    assert bridge.bus.requests == []


def test_encoded_paths_mean_what_they_say(bridge):
    """An escaped slash is part of the topic, an escaped digit is a digit, a plus is a plus."""
    assert bridge.get("/search/a%2Fb+c").status == 200
    assert asked(bridge)[1]["topic"] == "a/b+c"
    bridge.bus.requests.clear()
    assert bridge.get("/lookup/%320001").status == 200
    assert asked(bridge)[1]["id"] == 20001


def test_unknown_paths_and_methods(bridge):
    """404 for a path, 405 with Allow for a method, and OPTIONS tells them."""
    for path in ("/", "/nope", "/lookup/1/", "/search/", "//healthz", "/healthz/", "/items/1/x"):
        assert_problem(bridge.get(path), 404, "no-such-page")
    answer = bridge.http("DELETE", "/orders")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert_problem(bridge.http("BREW", "/buy/1"), 405, "method-not-allowed")
    answer = bridge.http("OPTIONS", "/items/1")
    assert answer.status == 204 and answer.headers["Allow"] == "PATCH, DELETE, OPTIONS"
    assert bridge.http("OPTIONS", "*").status == 204
    assert_problem(bridge.http("OPTIONS", "/nope"), 404, "no-such-page")


# --- The cache ------------------------------------------------------------------------------------


def test_reads_that_may_be_kept_say_where_they_come_from(bridge):
    """Items by their id and lists of topics, also when there is none; nothing else is ever kept."""
    bridge.bus.answers["search"] = lambda request: (0, {"items": [], "next": None, "log_time": 1})
    for path in ("/lookup/1", "/search/classics", "/search?topic=classics&limit=3"):
        assert bridge.get(path).headers["Cache-Status"] == "pygmy; fwd=miss", path
    for path in ("/lookup?title=x", "/search", "/search?q=x&topic=classics", "/search?author=x",
                 "/orders/17", "/orders", "/healthz"):
        assert bridge.get(path).headers["Cache-Status"] is None, path
    bridge.bus.answers["lookup"] = lambda request: (201, {"error": {"type": "not-found", "id": 1}})
    assert bridge.get("/lookup/1").headers["Cache-Status"] == "pygmy; fwd=miss"


def test_the_operator_sees_and_empties_the_cache(bridge):
    """It has nothing of the feed here, and keeps nothing; the store is not asked."""
    seen = bridge.admin("GET", "/cache")
    assert seen.status == 200 and seen.headers["Cache-Control"] == "no-cache"
    assert seen.json["entries"] == 0 and seen.json["entries_max"] == 10000
    assert seen.json["bytes"] == 0 and seen.json["bytes_max"] == 16000000
    assert seen.json["session"] == 0 and seen.json["lease_left_ms"] == 0
    for path in ("/cache", "/cache/20001"):
        answer = bridge.admin("DELETE", path)
        assert answer.status == 204 and answer.body == b""
    assert_problem(bridge.admin("DELETE", "/cache/0"), 400, "invalid", "whole number")
    assert_problem(bridge.admin("POST", "/cache"), 405, "method-not-allowed")
    assert_problem(bridge.get("/cache"), 401, "unauthorized")
    assert_problem(bridge.http("DELETE", "/cache"), 401, "unauthorized")
    assert_problem(bridge.http("DELETE", "/cache/1", headers={"Authorization": "Bearer no"}), 403,
                   "forbidden")
    assert not bridge.bus.requests


# --- Every answer ---------------------------------------------------------------------------------


def test_every_answer_has_a_request_id(bridge):
    """The client's when it is good, else a new one; it is in the log and on the bus."""
    answer = bridge.get("/lookup/1", headers={"Request-Id": "my-id/1"})
    assert answer.headers["Request-Id"] == "my-id/1"
    assert bridge.bus.requests[0][1]["request_id"] == "my-id/1"
    line = next(line for line in bridge.log.splitlines() if "req=my-id/1" in line)
    assert "status=200" in line and "duration_us=" in line and "method=GET" in line
    assert "target=/lookup/1" in line
    for bad in ("x" * 129, "a b", "", "caf\xe9"):
        answer = bridge.get("/healthz", headers={"Request-Id": bad.encode("latin-1")})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["Request-Id"])
    assert bridge.get("/healthz", headers={"Request-Id": "x" * 128}).headers["Request-Id"] \
        == "x" * 128


def test_secrets_are_not_logged(bridge):
    """Neither tokens nor the cluster's secret."""
    assert bridge.admin("DELETE", "/items/1").status == 204
    assert TOKEN not in bridge.log and "the-clusters-secret" not in bridge.log


def test_nobody_forges_a_line_of_the_log(bridge):
    """What a client sends stays within its field."""
    bridge.get('/search?q="x"%0Ats=1')
    line = bridge.log.splitlines()[-1]
    assert line.startswith("ts=2") and r'target="/search?q=\"x\"%0Ats=1"' in line


# --- Operation ------------------------------------------------------------------------------------


def test_it_tells_what_it_is_and_how_it_fares(bridge):
    """healthz, readyz, version, metrics."""
    assert bridge.get("/healthz").json == {"status": "ok"}
    assert bridge.get("/readyz").json == {
        "ready": True, "checks": {"broker": True, "catalog": True, "order": True}}
    version = bridge.get("/version").json
    assert version["program"] == "pygmy-http" and version["name"] == "bridge-1"
    before = bridge.metric("pygmy_http_requests_total")
    bridge.get("/lookup/1")
    assert bridge.metric("pygmy_http_requests_total") == before + 2
    answer = bridge.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    assert 'pygmy_http_requests_total{route="/lookup/{id}",method="GET",code="200"}' in text
    assert 'pygmy_http_request_duration_seconds_count{route="/buy/{id}",method="POST"}' in text
    assert "pygmy_build_info{" in text and "process_open_fds " in text


def test_it_answers_on_the_bus(bridge):
    """As node.bridge-1: status, metrics, ping, and an error for all else."""
    wait_until(lambda: "node.bridge-1" in bridge.bus.workers)
    code, status = bridge.bus.ask("node.bridge-1", {"op": "status"})
    assert code == 0 and status["pid"] == bridge.process.pid
    assert (status["name"], status["kind"], status["role"], status["state"]) == (
        "bridge-1", "bridge", None, "up")
    assert status["term"] is None and status["log_index"] is None
    code, metrics = bridge.bus.ask("node.bridge-1", {"op": "metrics"})
    assert code == 0 and "pygmy_http_requests_total" in metrics["text"]
    assert bridge.bus.ask("node.bridge-1", {"op": "ping", "request_id": "r"}) == (0, {})
    for request, code in [({"op": "dance"}, 12), ({"op": "ping", "x": 1}, 200), ({}, 200), ([], 7)]:
        status, body = bridge.bus.ask("node.bridge-1", request)
        assert status == code and body["error"]["type"], request


def test_it_is_ready_only_while_the_store_answers(bridge):
    """When a service goes silent, readiness names it; when it comes back, so does readiness."""
    answers = dict(bridge.bus.answers)
    bridge.bus.answers["time"] = lambda request: None
    answer = wait_until(lambda: (got := bridge.get("/readyz")).status == 503 and got, 10)
    assert_problem(answer, 503, "unavailable")
    assert answer.json["ready"] is False and answer.headers["Retry-After"]
    assert answer.json["checks"] == {"broker": True, "catalog": False, "order": True}
    assert bridge.get("/healthz").status == 200
    bridge.bus.answers.update(answers)
    wait_until(lambda: bridge.get("/readyz").status == 200)
