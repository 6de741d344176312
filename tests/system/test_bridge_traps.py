"""Requests that no decent client sends, and what the bridge says to them.

The bridge is alone here, or with a bus that the test plays; see tests/lib/bridge.py.

SPDX-License-Identifier: Apache-2.0
"""

import ctypes
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time

import pytest

from bridge import Bridge, receive_all, receive_until
from cluster import program, wait_until

HOST = b"Host: localhost\r\n"
LAST = HOST + b"Connection: close\r\n"

# Of broker/bus/limits.h.
HEAD_BYTES_MAX = 8 * 1024
HEADERS_MAX = 64
REQUEST_ID_BYTES_MAX = 128


@pytest.fixture(scope="module")
def bridge():
    made = Bridge()
    yield made
    made.close()


@pytest.fixture
def bridge_with_bus():
    made = Bridge(bus=True)
    yield made
    made.close()


def statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)]


def problem(received):
    """The problem of an answer, with the bridge's mark on it."""
    head, body = received.split(b"\r\n\r\n", 1)
    assert b"\r\nContent-Type: application/problem+json\r\n" in head, received
    assert b"\r\nRequest-Id: " in head, received
    return json.loads(body)


BAD_FRAMING = {
    "two lengths": b"POST /orders HTTP/1.1\r\n" + HOST
    + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "the same length twice": b"POST /orders HTTP/1.1\r\n" + HOST
    + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": b"POST /orders HTTP/1.1\r\n" + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"POST /orders HTTP/1.1\r\n" + HOST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /orders HTTP/1.1\r\n" + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "blank before the colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A : b\r\n\r\n",
    "odd name": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X(A): b\r\n\r\n",
    "control character": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: b\x01c\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Host: other\r\n\r\n",
    "no host's name": b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
    "blank in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "byte above ASCII in the target": b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "target of another host": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "target without a slash": b"GET healthz HTTP/1.1\r\n" + HOST + b"\r\n",
}


def libmicrohttpd_version():
    library = ctypes.CDLL("libmicrohttpd.so.12")
    library.MHD_get_version.restype = ctypes.c_char_p
    return tuple(int(part) for part in library.MHD_get_version().decode().split("."))


# What libmicrohttpd 1.0 answers in HTML before we hear of it, and with which status; earlier ones
# leave it to us. A blank in the target has it point at the same target with the blank escaped.
ANSWERED_BELOW = {
    "another coding": 400,
    "blank before the colon": 400,
    "no host": 400,
    "blank in the target": 301,
}


@pytest.mark.parametrize("name", BAD_FRAMING)
def test_bad_framing_is_refused_and_the_connection_closed(bridge, name):
    """What two servers may read in two ways is answered once, with 400, and nothing after it is
    read as a request."""
    received = bridge.raw(BAD_FRAMING[name] + b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b"\r\nConnection: close\r\n" in received
    if name in ANSWERED_BELOW and libmicrohttpd_version() >= (1,):
        assert statuses(received) == [ANSWERED_BELOW[name]], received
    else:
        assert statuses(received) == [400], received
        assert problem(received)["type"] == "urn:pygmy:problem:malformed"
    assert bridge.get("/healthz").status == 200


NO_HTTP = {
    "a word": b"GET\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00",
    "zeros": b"\0" * 64,
    "a version of the future": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "a length above 64 bits": b"POST /orders HTTP/1.1\r\n" + HOST
    + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a length below 0": b"POST /orders HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_harms_nobody(bridge, name):
    """It is answered with an error or not at all."""
    with bridge.connect() as connection:
        connection.sendall(NO_HTTP[name])
        connection.shutdown(socket.SHUT_WR)
        received = receive_all(connection)
    assert all(status >= 400 for status in statuses(received)), received
    assert bridge.get("/healthz").status == 200


def test_a_foreign_host_is_not_served(bridge):
    """A page whose name was turned to this address can't read the store."""
    for host, status in [("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200),
                         ("store.example", 200), ("STORE.example:80", 200),
                         ("evil.example", 421), ("localhost.evil.example", 421)]:
        assert bridge.get("/healthz", headers={"Host": host}).status == status, host


def test_pages_of_other_sites_may_not_write(bridge):
    """Origin and Sec-Fetch-Site tell where a browser's request comes from."""
    for headers, status in [({}, 503), ({"Origin": f"http://127.0.0.1:{bridge.port_base}"}, 503),
                            ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
                            ({"Sec-Fetch-Site": "cross-site"}, 403),
                            ({"Sec-Fetch-Site": "same-origin"}, 503)]:
        with bridge.connect() as connection:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            connection.sendall(f"POST /buy/1 HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port_base}\r\n"
                               f"{lines}\r\n".encode())
            if status == 403:
                answer = receive_until(connection, b"request_id")
                assert statuses(answer) == [403], (headers, answer)
                assert b"urn:pygmy:problem:origin" in answer
            else:
                assert no_answer_yet(connection), headers
    assert bridge.get("/healthz", headers={"Origin": "http://evil.example"}).status == 200


def no_answer_yet(connection):
    """The request went on to the store, where nobody is: it isn't refused at once."""
    patience = connection.gettimeout()
    connection.settimeout(0.2)
    try:
        return not connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(patience)


def test_too_many_or_too_large_headers_are_431(bridge):
    """Above 8 KiB or 64 headers the refusal is worded; above what the library keeps it is 431."""
    large = b"GET /healthz HTTP/1.1\r\n" + LAST + b"X-Large: " + b"x" * 7500 + b"\r\n\r\n"
    assert statuses(bridge.raw(large)) == [200]
    larger = b"GET /healthz HTTP/1.1\r\n" + LAST + b"X-Large: " + b"x" * 8500 + b"\r\n\r\n"
    received = bridge.raw(larger)
    assert statuses(received) == [431]
    assert problem(received)["type"] == "urn:pygmy:problem:headers-too-large"
    for count, status in ((HEADERS_MAX, 200), (HEADERS_MAX + 1, 431), (100, 431)):
        many = b"GET /healthz HTTP/1.1\r\n" + LAST + b"X-A: b\r\n" * (count - 2) + b"\r\n"
        assert statuses(bridge.raw(many)) == [status]
    huge = b"GET /healthz HTTP/1.1\r\n" + LAST + b"X-Large: " + b"x" * 200000 + b"\r\n\r\n"
    assert statuses(bridge.raw(huge)) in ([431], [])
    target = b"GET /" + b"a" * 8500 + b" HTTP/1.1\r\n" + LAST + b"\r\n"
    assert statuses(bridge.raw(target)) == [431]
    assert bridge.get("/healthz").status == 200


def full_head(target, last):
    """A request with as many headers as may be, and as large as they may be in all."""
    names = [b"Host", b"Connection", b"Request-Id"]
    names += [b"X-%02d" % i for i in range(HEADERS_MAX - len(names))]
    values = [b"localhost", b"close" if last else b"keep-alive", b"r" * REQUEST_ID_BYTES_MAX]
    rest = HEAD_BYTES_MAX - len(target) - len(b"".join(names + values))
    rest_count = len(names) - len(values)
    values += [b"v" * (rest // rest_count + (i < rest % rest_count)) for i in range(rest_count)]
    lines = [b"%s: %s\r\n" % header for header in zip(names, values, strict=True)]
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (target, b"".join(lines))


@pytest.mark.parametrize("letter", [b"!", b"%21"])
def test_the_largest_head_leaves_room_for_the_longest_answer(bridge_with_bus, letter):
    """libmicrohttpd has one memory for both, and says nothing where the answer's head finds none:
    here that is a Link of a search with all parameters, each byte of them escaped. Requests that
    follow each other at once share that memory, too."""
    bridge_with_bus.bus.answers["search"] = lambda request: (
        0, {"items": [], "next": "9" * 19, "log_time": 1})
    target = b"/search?q=%s&author=%s&topic=%s" % (letter * 256, letter * 256, letter * 64)
    received = bridge_with_bus.raw(full_head(target, False) + full_head(target, True))
    assert statuses(received) == [200, 200]
    assert received.count(b"%21" * 256 + b"&author=" + b"%21" * 256) == 2


def test_more_parameters_than_can_be_held_end_their_own_connection(bridge):
    """libmicrohttpd has its own copy of them, and closes when its memory ends there."""
    for count in (8, 100, 400, 500, 1000, 4000, 8000):
        received = bridge.raw(b"GET /search?" + b"a=b&" * count + b" HTTP/1.1\r\n" + LAST + b"\r\n")
        assert statuses(received) in ([], [400], [414], [431]), received
    assert bridge.get("/healthz").status == 200
    wait_until(lambda: bridge.metric("pygmy_http_connections") == 1)


def test_a_large_body_is_413(bridge):
    """64 KiB are taken, a byte more is not, with a length or in chunks; a client that asks first is
    told before it sends."""
    head = b"POST /orders HTTP/1.1\r\n" + LAST + b"Content-Type: application/json\r\n"
    body = b" " * 65536
    assert statuses(bridge.raw(head + b"Content-Length: 65536\r\n\r\n" + body)) == [400]
    received = bridge.raw(head + b"Content-Length: 65537\r\n\r\n" + body + b" ")
    assert statuses(received) == [413]
    assert problem(received)["type"] == "urn:pygmy:problem:too-large"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(bridge.raw(chunked + b"10000\r\n" + body + b"\r\n0\r\n\r\n")) == [400]
    assert statuses(bridge.raw(chunked + b"10001\r\n " + body + b"\r\n0\r\n\r\n")) == [413]
    with bridge.connect() as connection:
        connection.sendall(head + b"Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n")
        assert statuses(receive_all(connection)) == [413]
    with bridge.connect() as connection:
        connection.sendall(head + b"Content-Length: 10000000000\r\n\r\n")
        assert statuses(receive_all(connection)) == [413]


def test_an_endless_body_is_cut_off(bridge):
    """Chunks without end are read for a while, and then no more."""
    with bridge.connect() as connection:
        connection.sendall(b"POST /orders HTTP/1.1\r\n" + HOST
                           + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 64 << 20:
                connection.sendall(chunk)
                sent += 4096
    assert bridge.get("/healthz").status == 200


@pytest.mark.limit_s(60)
def test_slow_clients_are_cut_off(bridge):
    """Headers byte by byte, a second request's headers byte by byte, and a body byte by byte: each
    has its deadline, however steadily the bytes come."""
    drips = {}
    for name, head, limit in [
            ("headers", b"", 5),
            ("request line", b"G", 5),
            ("second request", b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\n", 5),
            ("body", b"POST /orders HTTP/1.1\r\n" + HOST
             + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n", 10)]:
        connection = bridge.connect()
        connection.sendall(head)
        if name == "second request":
            receive_until(connection, b'"ok"}')
        drips[connection] = (name, limit, iter(b"X-Slow: " + b"x" * 990))
    drip_until_closed(drips, time.monotonic())
    assert bridge.metric("pygmy_http_cut_off_total") >= 4


def drip_until_closed(drips, start):
    """Send to each connection a byte now and then, until the bridge closes it, in its time."""
    while drips:
        assert time.monotonic() < start + 20, [name for name, _, _ in drips.values()]
        with selectors.DefaultSelector() as selector:
            for connection in drips:
                selector.register(connection, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(0.2)]
        for connection in list(drips):
            name, limit, rest = drips[connection]
            try:
                if connection not in ready:
                    connection.send(bytes([next(rest)]))
                    continue
                assert connection.recv(1) == b"", name
            except (BrokenPipeError, ConnectionResetError):
                pass
            passed = time.monotonic() - start
            assert limit - 0.5 <= passed <= limit + 2, (name, passed)
            connection.close()
            del drips[connection]


def test_one_address_gets_so_many_connections(bridge):
    """Above the limit of an address new connections are closed; those there are go on."""
    before = bridge.descriptors()
    connections = [bridge.connect() for _ in range(540)]
    try:
        connections[0].sendall(b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n")
        receive_until(connections[0], b"PYGMY1")
        assert receive_all(connections[-1]) == b""
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: bridge.descriptors() <= before, what="the connections are gone")
    assert bridge.get("/healthz").status == 200


def test_when_all_connections_are_taken_others_wait(bridge):
    """Above the limit of all addresses a client waits in the kernel's queue until one has gone."""
    connections = []
    try:
        for source in ("127.0.0.2", "127.0.0.3"):
            connections += [connect_from(bridge, source) for _ in range(512)]
        late = connect_from(bridge, "127.0.0.4")
        late.sendall(b"GET /healthz HTTP/1.1\r\n" + LAST + b"\r\n")
        assert no_answer_yet(late)
        for connection in connections[:10]:
            connection.close()
        assert statuses(receive_all(late)) == [200]
        late.close()
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: bridge.metric("pygmy_http_connections") <= 1)


def connect_from(bridge, source):
    return socket.create_connection(("127.0.0.1", bridge.port_base), 15, (source, 0))


def test_pipelined_requests_are_answered_in_order(bridge):
    """Three requests in one piece, three answers in their order."""
    received = bridge.raw(b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n"
                          + b"GET /nope HTTP/1.1\r\n" + HOST + b"\r\n"
                          + b"GET /healthz HTTP/1.1\r\n" + LAST + b"\r\n")
    assert statuses(received) == [200, 404, 200]


def test_vanished_clients_are_forgotten(bridge_with_bus):
    """Clients that go while the store works on their requests cost nothing in the end."""
    bridge, bus = bridge_with_bus, bridge_with_bus.bus
    bus.answers["lookup"] = lambda request: None
    before = bridge.descriptors()
    connections = []
    for i in range(50):
        connection = bridge.connect()
        connection.sendall(b"GET /lookup/%d HTTP/1.1\r\n" % (i + 1) + HOST + b"\r\n")
        connections.append(connection)
    wait_until(lambda: len(bus.of("lookup")) == 50)
    assert bridge.metric("pygmy_http_in_flight") == 50
    for connection in connections:
        connection.close()
    assert bridge.get("/healthz").status == 200
    bus.release(201, {"error": {}})
    wait_until(lambda: bridge.metric("pygmy_http_in_flight") == 0)
    wait_until(lambda: bridge.descriptors() <= before)


def test_a_silent_store_gives_an_honest_504(bridge_with_bus):
    """The outcome is unknown, the answer says so and that the key is safe; it names the key, also
    one that the bridge has made, and a read says nothing of outcomes."""
    bridge, bus = bridge_with_bus, bridge_with_bus.bus
    bus.answers["buy"] = bus.answers["lookup"] = lambda request: None
    buy, lookup = bridge.connect(), bridge.connect()
    buy.sendall(b"POST /buy/7 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    lookup.sendall(b"GET /lookup/7 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    bought, looked = receive_all(buy), receive_all(lookup)
    assert statuses(bought) == [504] and statuses(looked) == [504]
    assert "same Idempotency-Key" in problem(bought)["detail"]
    assert "outcome" not in problem(looked)["detail"]
    key = re.search(rb"\r\nIdempotency-Key: (\w+)\r\n", bought).group(1).decode()
    assert {request["key"] for request in bus.of("buy")} == {key}


def test_it_drains_on_sigterm(bridge_with_bus):
    """What is under way is answered, readiness is taken back at once, the end is clean."""
    bridge, bus = bridge_with_bus, bridge_with_bus.bus
    bus.answers["lookup"] = lambda request: None
    with bridge.connect() as connection, bridge.connect() as other:
        connection.sendall(b"GET /lookup/1 HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_until(lambda: bus.of("lookup"))
        bridge.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining" in bridge.log)
        other.sendall(b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n")
        received = receive_until(other, b"checks")
        assert statuses(received) == [503] and b"problem:draining" in received
        wait_until(lambda: not listens(bridge), what="the listener is closed")
        bus.release(201, {"error": {}})
        received = receive_all(connection)
        assert statuses(received) == [404] and b"\r\nConnection: close\r\n" in received
    assert bridge.process.wait(20) == 0


def listens(bridge):
    try:
        bridge.connect().close()
        return True
    except (ConnectionRefusedError, ConnectionResetError):  # reset: closed while we were in its queue
        return False


def test_an_address_in_use_is_an_error(bridge):
    """A second bridge on the same address says so and ends with status 1."""
    second = subprocess.run([program("pygmy-http"), "--config", bridge.config], timeout=10,
                            capture_output=True, text=True)
    assert second.returncode == 1
    assert f"127.0.0.1:{bridge.port_base}: Address already in use" in second.stderr
