"""tests/lib/readers.py, who reads at every bridge while chaos reigns: what is noted of a bridge that
is played.

SPDX-License-Identifier: Apache-2.0
"""

import http.server
import json
import threading
from collections import Counter

import pytest

import history
from cluster import wait_until
from history import now
from readers import ALIKE, CROWD, LANES, NANO, PROBE_S, Reading, Readers

SILENCE_S = 0.5


class Bridge(http.server.ThreadingHTTPServer):
    """Answers look-ups as it is told to, and not while it stands still."""

    daemon_threads = True
    request_queue_size = 2 * CROWD

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.version, self.memory, self.guests = 7, False, [21]
        self.held = ()  # items that are not answered while it stands still; (): all
        self.failure = None  # a status and a type; a status of 0: no answer
        self.answered = self.unanswered = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):  # pylint: disable=arguments-differ
        """Who reads hangs up when it likes."""

    def close(self):
        self.goes_on.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name; the name is the library's
        bridge = self.server
        if not bridge.held or int(self.path.rpartition("/")[2]) in bridge.held:
            bridge.goes_on.wait()
        if self.path.startswith("/search/"):
            ids = bridge.guests if self.path.startswith("/search/guests") else []
            status, told = 200, {"items": [{"id": item} for item in ids], "next": None}
        else:
            item = int(self.path.rpartition("/")[2])
            status, told = 200, {"id": item, "stock": 3, "version": bridge.version}
            if item > 20 and item not in bridge.guests:
                status, told = 404, {"type": "urn:pygmy:problem:not-found"}
        if bridge.failure is not None:
            status, told = bridge.failure[0], {"type": "urn:pygmy:problem:" + bridge.failure[1]}
        if status == 0:
            self.close_connection = True
            bridge.unanswered += 1
            return
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Cache-Status", "pygmy; hit" if bridge.memory else "pygmy; fwd=miss")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        bridge.answered += 1

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


@pytest.fixture(name="bridge")
def bridge_fixture():
    bridge = Bridge()
    yield bridge
    bridge.close()


def go_on(bridge):
    """Wait until it has answered some more, to requests of now."""
    count = bridge.answered + 3 * LANES
    wait_until(lambda: bridge.answered >= count, 30, "the bridge is asked")


def reading(bridge, folder, guests=()):
    return Readers(str(folder / "reads.jsonl"), 1, {1: 1, 2: 9},
                   [("bridge-1", bridge.server_address)], guests)


def noted(readers, folder):
    """The history that comes of it: rows, and attempts."""
    recorder = history.Recorder(folder / "history.jsonl", 1)
    readers.hand_over(recorder)
    recorder.close()
    run = history.read(folder / "history.jsonl")
    return [row for _, rows in run.reads for row in rows], run.attempts


def test_what_is_read_is_noted_with_its_time_and_where_it_came_from(bridge, tmp_path):
    """And whether an answer came from memory."""
    began = now()
    with reading(bridge, tmp_path) as readers:
        wait_until(lambda: bridge.answered >= 150, 60)
        between = now()
        bridge.version, bridge.memory = 8, True
        go_on(bridge)
    rows, attempts = noted(readers, tmp_path)
    assert attempts == [] and readers.reads == len(rows)
    assert all(began <= since <= until <= now() for _, since, until, *_ in rows)
    assert {tuple(row[3:]) for row in rows if row[2] < between} == {(3, 7, False)}
    assert (3, 8, True) in {tuple(row[3:]) for row in rows if row[1] > between}
    assert 0 < readers.remembered == sum(row[5] for row in rows)
    assert {row[0] for row in rows} == {1, 2}


def test_each_item_is_drawn_as_often_as_it_weighs():
    """And guests once in eight times, half of these as a list."""
    everything = Reading(1, {1: 1, 2: 9}, [], [21, 22])
    counts = Counter(everything.draw() for _ in range(40000))
    lists = counts["guests"] + counts["visitors"]
    of_guests = counts[21] + counts[22] + lists
    assert 0.08 < counts[1] / (counts[1] + counts[2]) < 0.12
    assert 0.11 < of_guests / counts.total() < 0.14
    assert 0.45 < lists / of_guests < 0.55
    assert 0.45 < counts["guests"] / lists < 0.55


def test_who_comes_and_goes_is_looked_up_and_listed(bridge, tmp_path):
    """What is not there is an answer, too; a list tells of each whether it has it. Many rows are
    one answer."""
    with reading(bridge, tmp_path, [21, 22]) as readers:
        wait_until(lambda: bridge.answered >= 150, 60)
    rows, attempts = noted(readers, tmp_path)
    assert attempts == [] and 0 < readers.reads < len(rows) and readers.remembered == 0
    assert {(item, *told) for item, _, _, *told, _ in rows} == {
        (1, 3, 7), (2, 3, 7), (21, 3, 7), (22, 0, None), ("21 in guests", 1, None),
        ("22 in guests", 0, None), ("21 in visitors", 0, None), ("22 in visitors", 0, None)}


@pytest.mark.parametrize("page", [
    {"items": [{"id": 21}], "next": "21"}, {"items": [], "next": "20"},
    {"items": [{"id": 21}, {"id": 1}], "next": None}])
def test_a_list_that_is_not_whole_tells_nothing(page):
    """Whoever it has not may be on its next page. Nor does it, if it has strangers."""
    with pytest.raises(AssertionError):
        Reading(1, {1: 1}, [], [21, 22]).shown("guests", 200, page)


def test_who_was_silent_is_met_by_requests_of_all_the_time_of_its_silence(bridge, tmp_path):
    """Only those can tell whether a cache that was stopped serves what is too old: not those that
    were asked before."""
    with reading(bridge, tmp_path) as readers:
        go_on(bridge)
        bridge.goes_on.clear()
        since = now()
        wait_until(lambda: now() > since + SILENCE_S * NANO)
        until = now()
        bridge.goes_on.set()
        go_on(bridge)
    rows, attempts = noted(readers, tmp_path)
    assert attempts == []
    during = sorted(row[1] for row in rows if since < row[1] < until < row[2])
    assert len(during) > SILENCE_S / PROBE_S / 3
    assert during[-1] - during[0] > SILENCE_S * NANO / 3
    assert sum(row[1] < until < row[2] for row in rows) <= CROWD


def test_what_is_waited_for_keeps_nobody_from_asking_for_the_rest(bridge, tmp_path):
    """What a bridge has to ask others for may take seconds; what it remembers is asked for."""
    with reading(bridge, tmp_path) as readers:
        go_on(bridge)
        bridge.held = (2,)
        bridge.goes_on.clear()
        since = now()
        go_on(bridge)
        until = now()
        bridge.goes_on.set()
        go_on(bridge)
    rows, attempts = noted(readers, tmp_path)
    assert attempts == []
    held = [row for row in rows if row[0] == 2 and since < row[1] and row[1] < until < row[2]]
    assert len(held) <= ALIKE + (until - since) / NANO / PROBE_S
    assert sum(row[0] == 1 and since < row[1] and row[2] < until for row in rows) > 2 * LANES


def test_what_fails_is_noted_as_refused_or_unknown(bridge, tmp_path):
    """By its type, or because there was no answer; and it goes on after each."""
    with reading(bridge, tmp_path) as readers:
        for failure in ((503, "busy"), (504, "timeout"), (404, "not-found")):
            go_on(bridge)
            bridge.failure = failure
            go_on(bridge)
            bridge.failure = None
        go_on(bridge)
        bridge.failure = 0, ""
        wait_until(lambda: bridge.unanswered > 0)
        bridge.failure = None
        go_on(bridge)
    _, attempts = noted(readers, tmp_path)
    found = {(row["outcome"], row["answer"].get("type")) for row in attempts}
    assert found == {("refused", "busy"), ("unknown", "timeout"), ("refused", "not-found"),
                     ("unknown", None)}
    assert {(row["op"], row["key"]) for row in attempts} == {("lookup", None)}


def test_a_bridge_that_is_not_there_is_asked_again(bridge, tmp_path):
    """And nothing is noted of what was never asked."""
    bridge.close()
    with reading(bridge, tmp_path) as readers:
        since = now()
        wait_until(lambda: now() > since + SILENCE_S * NANO)
        later = Bridge(bridge.server_address[1])
        try:
            go_on(later)
        finally:
            later.close()
    rows, attempts = noted(readers, tmp_path)
    assert rows != [] and {row["answer"].get("type") for row in attempts} <= {None}
