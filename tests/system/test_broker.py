"""pygmy-broker as strangers see it: plain Majordomo peers, our own, losses, bad input, the end.

SPDX-License-Identifier: Apache-2.0
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import zmq

import bus
from broker import LISTENING, Broker, Client, PlainClient, PlainWorker, Worker, wait_served
from cluster import PortBlock, probed_ports, program, wait_until

DIALECTS = list(itertools.product((1, 2), (True, False)))
BEAT_S, GONE_S = 0.1, 0.5  # HEARTBEAT_MS and HEARTBEAT_GONE_MS
LIB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib")


@pytest.fixture
def broker():
    with Broker() as one:
        yield one


# ---- Dialects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("worker_dialect", DIALECTS)
@pytest.mark.parametrize("client_dialect", DIALECTS)
def test_every_client_and_worker_understand_each_other(broker, client_dialect, worker_dialect):
    """Versions 0.1 and 0.2, each with and without the empty first frame, on both sides."""
    worker = PlainWorker(broker.endpoint, b"echo", *worker_dialect)
    client = PlainClient(broker.endpoint, *client_dialect)
    for text in (b"one", b"", bytes(range(256))):
        client.ask(b"echo", text, b"more")
        address, body = worker.request()
        assert body == [text, b"more"]
        worker.reply(address, *body)
        assert client.answer(b"echo") == ([text, b"more"], True)


@pytest.mark.parametrize("worker_dialect", DIALECTS)
def test_our_client_and_plain_workers_understand_each_other(broker, worker_dialect):
    worker = PlainWorker(broker.endpoint, b"echo", *worker_dialect)
    wait_served(broker, b"echo")
    client = Client(broker.endpoint)
    waiting = client.send("echo", {"say": "hello"})
    address, body = worker.request()
    worker.reply(address, *body)
    assert client.receive(waiting) == (0, {"say": "hello"})


@pytest.mark.parametrize("client_dialect", DIALECTS)
def test_plain_clients_and_our_worker_understand_each_other(broker, client_dialect):
    worker = Worker(broker.endpoint, b"echo", credit=8)
    client = PlainClient(broker.endpoint, *client_dialect)
    client.ask(b"echo", b"hel", b"lo")
    (record,) = worker.records()
    assert record[7] == b"hello"
    worker.reply(record, record[7])
    assert client.answer(b"echo") == ([b"hello"], True)


def test_partial_answers(broker):
    """Passed on to a 0.2 client, joined for a 0.1 client and for ours."""
    worker = PlainWorker(broker.endpoint, b"parts", 2)
    wait_served(broker, b"parts")
    second, first = PlainClient(broker.endpoint, 2), PlainClient(broker.endpoint, 1)
    ours = Client(broker.endpoint)

    def serve():
        address, _ = worker.request()
        worker.reply(address, b"1", command=worker.partial)
        worker.reply(address, b"2", command=worker.partial)
        worker.reply(address, b"3")

    second.ask(b"parts", b"x")
    serve()
    assert [second.answer(b"parts") for _ in range(3)] == [
        ([b"1"], False), ([b"2"], False), ([b"3"], True)]
    first.ask(b"parts", b"x")
    serve()
    assert first.answer(b"parts") == ([b"123"], True)
    waiting = ours.send("parts", "x")
    serve()
    assert ours.receive(waiting) == (0, 123)


def test_a_worker_that_leaves_out_the_delimiter_is_understood(broker):
    worker = PlainWorker(broker.endpoint, b"echo")
    client = PlainClient(broker.endpoint)
    client.ask(b"echo", b"hello")
    address, body = worker.request()
    worker.send(worker.header, worker.final, address, *body)
    assert client.answer(b"echo") == ([b"hello"], True)


def test_mmi(broker):
    worker = PlainWorker(broker.endpoint, b"echo")
    for version in (1, 2):
        client = PlainClient(broker.endpoint, version)
        wait_until(lambda: client.call(b"mmi.service", b"echo") == [b"200"])
        assert client.call(b"mmi.service", b"nobody") == [b"404"]
        assert client.call(b"mmi.service", b"node.broker") == [b"200"]
        assert client.call(b"mmi.unheard", b"echo") == [b"501"]
    impostor = PlainWorker(broker.endpoint, b"mmi.service")
    assert impostor.receive() == [b"MDPW01", b"\x05"]
    worker.close()


# ---- Losses ------------------------------------------------------------------------------------

HANGING_WORKER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from broker import PlainWorker, Worker
if sys.argv[3] == "plain":
    PlainWorker(sys.argv[2], b"work").request(60)
else:
    worker = Worker(sys.argv[2], b"work", credit=4)
    (record,) = worker.records(60)
print("has it", flush=True)
sys.stdin.readline()
worker.reply(record, b'"late"')
worker.beat()
sys.stdin.readline()
"""


def hanging_worker(broker, kind):
    """A process of its own that takes a request and does nothing with it until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING_WORKER, LIB, broker.endpoint, kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_served(broker, b"work")
    return process


def finish(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("kind", ["plain", "ours"])
def test_the_request_of_a_killed_worker_goes_to_another(broker, kind):
    """It is noticed by the next heartbeat to it, before a plain one's silence would be."""
    process = hanging_worker(broker, kind)
    client = Client(broker.endpoint)
    waiting = client.send("work", "x")
    assert process.stdout.readline() == "has it\n"
    finish(process)
    worker = Worker(broker.endpoint, b"work")
    (record,) = worker.records(5.0)
    assert record[5] == 2  # the attempt
    worker.reply(record, b'"done"')
    assert client.receive(waiting) == (0, "done")


def test_the_request_of_a_stopped_worker_goes_to_another_and_its_late_answer_is_dropped(broker):
    process = hanging_worker(broker, "ours")
    client = Client(broker.endpoint)
    waiting = client.send("work", "x")
    assert process.stdout.readline() == "has it\n"
    process.send_signal(signal.SIGSTOP)
    worker = Worker(broker.endpoint, b"work")
    (record,) = worker.records()
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    wait_until(lambda: broker.counter("misplaced") + broker.counter("late_replies") > 0)
    worker.reply(record, b'"done"')
    assert client.receive(waiting) == (0, "done")
    finish(process)


def test_a_request_that_may_not_be_repeated_is_told_that_its_worker_was_lost():
    with Broker("--no-replay", "work") as broker:
        process = hanging_worker(broker, "plain")
        client = Client(broker.endpoint)
        waiting = client.send("work", "x")
        assert process.stdout.readline() == "has it\n"
        finish(process)
        assert client.receive(waiting) == (4, None)


def test_a_worker_that_expired_is_told_to_register_anew(broker):
    worker = Worker(broker.endpoint, b"echo")
    wait_served(broker, b"echo")
    wait_served(broker, b"echo", b"404")
    records = worker.records(wanted=(bus.DISCONNECT,))
    assert records[0][0] == bus.DISCONNECT


@pytest.mark.alone
def test_peers_are_sent_heartbeats(broker):
    """Ours every 100 ms, plain workers twice a second, busy ones too; clients after HELLO."""
    plain = PlainWorker(broker.endpoint, b"plain")
    ours = Worker(broker.endpoint, b"ours")
    client = Client(broker.endpoint)
    client.socket.send_multipart(bus.pack(b"C", [(bus.HELLO, 0, 0, 0, 0, 0, b"test", b"")]))
    wait_served(broker, b"plain")
    asker = PlainClient(broker.endpoint)
    asker.ask(b"plain", b"x")
    address, body = plain.request()
    began = time.monotonic()
    ours.records(wanted=(bus.HEARTBEAT,))
    assert client.socket.poll(1000)
    assert bus.unpack(b"C", client.socket.recv_multipart())[0][0] == bus.HEARTBEAT
    assert time.monotonic() - began < 0.4
    assert plain.receive(1.0) == [b"MDPW01", b"\x04"]
    plain.reply(address, *body)


def test_the_broker_answers_for_itself(broker):
    """node.NAME: status, metrics, ping; and what is wrong with other requests."""
    worker = Worker(broker.endpoint, b"echo", credit=7, name=b"catalog-1")
    wait_served(broker, b"echo")
    worker.beat()
    wait_until(lambda: broker.status()["services"][0]["workers"][0]["name"] == "catalog-1")
    status = broker.status()
    assert status["kind"] == "broker" and status["pid"] == broker.process.pid
    assert status["services"][0]["workers"][0]["credit"] == 7
    client = Client(broker.endpoint)
    code, body = client.call("node.broker", {"op": "metrics"})
    assert code == 0
    assert 'pygmy_broker_workers{service="other",state="idle"} 1' in body["text"]
    assert client.call("node.broker", {"op": "ping"}) == (0, {})
    for request, code, slug in [({"op": "x"}, 12, "not-implemented"), ({"op": 1}, 200, "invalid"),
                                ([], 7, "malformed"), ({"op": "ping", "y": 1}, 200, "invalid")]:
        status, body = client.call("node.broker", request)
        assert (status, body["error"]["type"]) == (code, slug)


def test_a_broker_that_was_stopped_does_not_blame_its_peers(broker):
    """It hears them out before it counts their silence."""
    worker = Worker(broker.endpoint, b"echo")
    wait_served(broker, b"echo")
    broker.signal(signal.SIGSTOP)
    # What has to pass is time, and no event tells of it: twice as much silence as would be blamed.
    until = time.monotonic() + 2 * GONE_S
    while time.monotonic() < until:
        worker.beat()
        time.sleep(BEAT_S)
    broker.signal(signal.SIGCONT)
    assert broker.counter("heartbeat_misses") == 0
    assert PlainClient(broker.endpoint).call(b"mmi.service", b"echo") == [b"200"]


# ---- Answers instead of silence ----------------------------------------------------------------


@pytest.mark.alone
def test_errors_are_answered(broker):
    """No service, expired, too large, malformed name: ours always hear something."""
    client = Client(broker.endpoint)
    began = time.monotonic()
    assert client.call("nobody", "x") == (1, None)
    assert time.monotonic() - began < 5
    began = time.monotonic()
    assert client.call("nobody", "x") == (1, None)
    assert time.monotonic() - began < 0.5
    worker = Worker(broker.endpoint, b"busy", credit=0)
    wait_served(broker, b"busy")
    waiting = client.send("busy", "x", timeout=0.3)
    expired = (waiting[0], waiting[1] + 1)
    assert client.receive(expired) == (3, None)
    assert client.call("busy", "x" * 600000) == (6, None)
    assert client.call("not a name\n", "x") == (7, None)
    worker.close()


def test_a_worker_that_does_not_lead_costs_no_attempt(broker):
    follower, leader = Worker(broker.endpoint, b"lead", credit=9), Worker(broker.endpoint, b"lead")
    wait_until(lambda: [s["worker_count"] for s in broker.status()["services"]] == [2])
    client = Client(broker.endpoint)
    waiting = client.send("lead", "x")
    (record,) = follower.records()
    follower.reply(record, b"", status=8)
    (record,) = leader.records()
    assert record[5] == 1
    leader.reply(record, b'"mine"')
    assert client.receive(waiting) == (0, "mine")


# ---- Bad input ---------------------------------------------------------------------------------


def corpus():
    """What has killed other brokers, and what is wrong with each frame of each message."""
    address = b"0000000100000000"
    yield from ([b""], [b"", b""], [b"", b"", b""], [b"x"], [b"\x00" * 100000], [b"a"] * 100)
    for header in (b"MDPC01", b"MDPC02", b"MDPW01", b"MDPW02", b"MDPC03", b"MDPW0", b"PYGMY1"):
        for empty in ([], [b""]):
            yield empty + [header]
            for byte in range(9):
                command = bytes([byte])
                yield empty + [header, command]
                yield empty + [header, command, b""]
                yield empty + [header, command, b"mmi.service"]
                yield empty + [header, command, b"x" * 300, b"body"]
                yield empty + [header, command, b"\xff\xfe", b"body"]
                yield empty + [header, command, address]
                yield empty + [header, command, address, b""]
                yield empty + [header, command, address, b"", b"body"]
                yield empty + [header, command, b"nonsense", b"", b"body"]
    for side in (b"C", b"W", b"X"):
        good = bus.pack(side, [(bus.REQUEST, 1, 0, 100, 7, 1, b"echo", b"body")])
        for cut in range(len(good[0])):
            yield [good[0][:cut]] + good[1:]
            yield [good[0][:cut] + b"\xff" + good[0][cut + 1:]] + good[1:]
        yield good + [b"more"]
        yield [good[0]]
        yield [good[0] + b"\x00", good[1]]
        for command in range(12):
            yield bus.pack(side, [(command, 255, 65535, 2**32 - 1, 2**64 - 1, 65535, b"n" * 127,
                                   b"")])


def test_malformed_messages_hurt_nobody_else(broker):
    """Each from a new peer and all from one, while a client goes on with its work."""
    worker = PlainWorker(broker.endpoint, b"echo")
    client = PlainClient(broker.endpoint)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            worker.beat()
            if worker.socket.poll(100):
                frames = worker.receive()
                if frames[1] == b"\x02":
                    worker.reply(frames[2], *frames[4:])

    server = threading.Thread(target=serve)
    server.start()
    try:
        attacker = zmq.Context.instance().socket(zmq.DEALER)
        attacker.connect(broker.endpoint)
        for index, frames in enumerate(corpus()):
            attacker.send_multipart(frames)
            if index % 40 == 0:
                assert client.call(b"echo", b"%d" % index) == [b"%d" % index]
                single = zmq.Context.instance().socket(zmq.DEALER)
                single.setsockopt(zmq.LINGER, 1000)
                single.connect(broker.endpoint)
                single.send_multipart(frames)
                single.close()
        assert client.call(b"echo", b"last") == [b"last"]
    finally:
        stop.set()
        server.join()
        attacker.close(linger=0)
    counters = broker.status()["counters"]
    assert counters["malformed"] >= 16 and counters["banned"] >= 1
    assert broker.process.poll() is None


def test_raw_bytes_on_the_port_hurt_nobody(broker):
    """What is not ZeroMQ at all."""
    import socket
    host, port = broker.endpoint[len("tcp://"):].rsplit(":", 1)
    randomness = random.Random(7)
    for size in (1, 10, 64, 1000, 100000):
        with socket.create_connection((host, int(port))) as raw:
            try:
                raw.sendall(randomness.randbytes(size))
            except OSError:
                pass
    assert PlainClient(broker.endpoint).call(b"mmi.service", b"x") == [b"404"]


# ---- Load --------------------------------------------------------------------------------------


class Serving:
    """A worker in a thread of its own, for as long as it takes to answer so many requests."""

    def __init__(self, broker, service, count, answer):
        self.answered = 0
        self.worker = Worker(broker.endpoint, service, credit=64)
        wait_served(broker, service)
        self.thread = threading.Thread(target=self.serve, args=(count, answer), daemon=True)
        self.thread.start()

    def serve(self, count, answer):
        while self.answered < count:
            for record in self.worker.records(30):
                self.worker.reply(record, answer(record[7]))
                self.answered += 1

    def join(self):
        self.thread.join(30)
        assert not self.thread.is_alive()


def test_a_client_that_sends_everything_before_it_reads(broker):
    """The asynchronous client of the guide: nothing is lost, nobody blocks."""
    count = 20000
    serving = Serving(broker, b"echo", count, lambda body: body)
    client = PlainClient(broker.endpoint)
    client.socket.setsockopt(zmq.SNDHWM, 0)
    for index in range(count):
        client.ask(b"echo", b"%d" % index)
    for index in range(count):
        assert client.answer(b"echo") == ([b"%d" % index], True)
    serving.join()


def test_requests_that_nobody_takes_are_bounded(broker):
    """150,000 requests for a service whose worker ends none: they wait, and memory is bounded."""
    asked, bound = 150000, 128 * 1024
    worker = PlainWorker(broker.endpoint, b"idle")
    wait_served(broker, b"idle")
    client = PlainClient(broker.endpoint)
    client.socket.setsockopt(zmq.SNDHWM, 0)
    for index in range(asked):
        client.ask(b"idle", b"x" * 100)
        if index % 1000 == 0:
            worker.beat()
    wait_until(lambda: worker.beat() or broker.counter("silent") >= asked - bound, 20)
    idle = next(row for row in broker.status()["services"] if row["name"] == "idle")
    assert idle["queued"] + idle["in_flight"] == bound
    assert broker.counter("silent") == asked - bound
    if not os.environ.get("PYGMY_SAN"):
        assert broker.resident_bytes() < 250e6
    assert PlainClient(broker.endpoint).call(b"mmi.service", b"x") == [b"404"]


def test_nobody_works_for_a_client_that_does_not_read(broker):
    """Some of its answers wait for it, its other requests for that it reads them; others are served
    meanwhile, and nothing is lost."""
    serving = Serving(broker, b"big", 401, lambda body: body * 100000)
    deaf = PlainClient(broker.endpoint)
    deaf.socket.setsockopt(zmq.RCVHWM, 1)
    for _ in range(400):
        deaf.ask(b"big", b"y")
    wait_until(lambda: broker.counter("deaf_clients") > 0)
    assert PlainClient(broker.endpoint).call(b"big", b"x") == [b"x" * 100000]
    assert serving.answered < 200
    for _ in range(400):
        assert deaf.answer(b"big")[0] == [b"y" * 100000]
    serving.join()
    assert broker.counter("outbox_bytes") == 0


# ---- The feed ----------------------------------------------------------------------------------


def test_the_feed_is_relayed_but_not_what_is_private(make_cluster_config):
    """Subscriptions go up, messages come down; topics between replicas never do."""
    config, ports = make_cluster_config
    process = subprocess.Popen([program("pygmy-broker"), "--config", config],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    context = zmq.Context.instance()
    publisher, subscriber = context.socket(zmq.PUB), context.socket(zmq.SUB)
    try:
        publisher.connect(f"tcp://127.0.0.1:{ports['publish']}")
        subscriber.connect(f"tcp://127.0.0.1:{ports['subscribe']}")
        subscriber.setsockopt(zmq.SUBSCRIBE, b"")

        def arrived():
            publisher.send_multipart([b"\x00private", b"secret"])
            publisher.send_multipart([b"topic", b"news"])
            return subscriber.poll(50)

        wait_until(arrived)
        while subscriber.poll(200):
            assert subscriber.recv_multipart() == [b"topic", b"news"]
        status = Client(f"tcp://127.0.0.1:{ports['bus']}").call("node.broker-1",
                                                                     {"op": "metrics"})
        metrics = status[1]["text"]
        refused = [line for line in metrics.splitlines()
                   if line.startswith("pygmy_broker_feed_refused_total ")]
        assert float(refused[0].split()[1]) > 0
    finally:
        publisher.close(linger=0)
        subscriber.close(linger=0)
        process.terminate()
        assert process.wait(10) == 0
        process.stderr.close()


def test_every_connection_is_probed_so_that_none_to_a_vanished_machine_stays(make_cluster_config):
    config, ports = make_cluster_config
    process = subprocess.Popen([program("pygmy-broker"), "--config", config],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = zmq.Context.instance()
    peers = [context.socket(kind) for kind in (zmq.DEALER, zmq.PUB, zmq.SUB)]
    try:
        for peer, name in zip(peers, ("bus", "publish", "subscribe")):
            peer.connect(f"tcp://127.0.0.1:{ports[name]}")
        wait_until(lambda: probed_ports() >= set(ports.values()),
                   what="a connection to each port is probed")
    finally:
        for peer in peers:
            peer.close(linger=0)
        process.terminate()
        process.wait()


def test_a_slow_subscriber_loses_messages_and_nobody_else_does(make_cluster_config):
    """Drops are counted, and the broker never waits."""
    config, ports = make_cluster_config
    process = subprocess.Popen([program("pygmy-broker"), "--config", config],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    context = zmq.Context.instance()
    publisher, slow, fast = (context.socket(kind) for kind in (zmq.PUB, zmq.SUB, zmq.SUB))
    try:
        publisher.setsockopt(zmq.SNDHWM, 0)
        slow.setsockopt(zmq.RCVHWM, 1)
        publisher.connect(f"tcp://127.0.0.1:{ports['publish']}")
        for subscriber in (slow, fast):
            subscriber.connect(f"tcp://127.0.0.1:{ports['subscribe']}")
            subscriber.setsockopt(zmq.SUBSCRIBE, b"t")
        wait_until(lambda: publisher.send(b"t") or (slow.poll(20) and fast.poll(20)))
        while fast.poll(300):
            fast.recv()
        client = Client(f"tcp://127.0.0.1:{ports['bus']}")

        def dropped():
            text = client.call("node.broker-1", {"op": "metrics"})[1]["text"]
            (line,) = [line for line in text.splitlines()
                       if line.startswith("pygmy_broker_feed_dropped_total ")]
            return float(line.split()[1])

        sent = 0
        while dropped() == 0:
            assert sent < 100000
            for _ in range(500):
                publisher.send(b"t%d " % sent + b"x" * 2000)
                assert fast.poll(5000)
                assert fast.recv().startswith(b"t%d " % sent)
                sent += 1
    finally:
        for one in (publisher, slow, fast):
            one.close(linger=0)
        process.terminate()
        assert process.wait(10) == 0
        process.stderr.close()


@pytest.fixture
def make_cluster_config(tmp_path):
    """A configuration of one broker on free ports."""
    block = PortBlock()
    ports = {name: block.base + i for i, name in enumerate(("bus", "subscribe", "publish"))}
    secret = tmp_path / "cluster.secret"
    secret.write_text("open-sesame\n")
    secret.chmod(0o600)
    config = tmp_path / "cluster.conf"
    config.write_text("cluster\n    uuid = " + "0123456789abcdef" * 2 +
                      "\n    secret = cluster.secret\nbrokers\n    broker-1\n" +
                      "".join(f"        {name} = tcp://127.0.0.1:{port}\n"
                              for name, port in ports.items()))
    yield str(config), ports
    block.release()


def test_protected_names_need_the_secret(make_cluster_config):
    config, ports = make_cluster_config
    process = subprocess.Popen([program("pygmy-broker"), "--config", config],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    endpoint = f"tcp://127.0.0.1:{ports['bus']}"
    try:
        assert PlainWorker(endpoint, b"order.leader").receive(10) == [b"MDPW01", b"\x05"]
        wrong = Worker(endpoint, b"catalog", secret=b"open-sesamf")
        assert wrong.records(wanted=(bus.DISCONNECT,))
        right = Worker(endpoint, b"catalog", secret=b"open-sesame")
        client = PlainClient(endpoint)
        wait_until(lambda: client.call(b"mmi.service", b"catalog") == [b"200"])
        right.close()
    finally:
        process.terminate()
        assert process.wait(10) == 0
        log = process.stderr.read()
        process.stderr.close()
    assert "open-sesam" not in log


# ---- The end -----------------------------------------------------------------------------------


def test_a_broker_drains(broker):
    """SIGTERM: ours are told, nothing new is accepted, what is under way ends, status 0."""
    worker, plain = Worker(broker.endpoint, b"work"), PlainWorker(broker.endpoint, b"other")
    wait_served(broker, b"work")
    wait_served(broker, b"other")
    client, late = Client(broker.endpoint), Client(broker.endpoint)
    waiting = client.send("work", "x")
    (record,) = worker.records()
    broker.signal(signal.SIGTERM)
    assert worker.records(wanted=(bus.GOING_AWAY,))
    assert late.call("work", "y") == (10, None)
    assert broker.process.poll() is None
    worker.reply(record, b'"done"')
    assert client.receive(waiting) == (0, "done")
    assert worker.records(wanted=(bus.DISCONNECT,))
    assert plain.receive() in ([b"MDPW01", b"\x05"], [b"MDPW01", b"\x04"])
    assert broker.wait() == 0


def test_a_second_signal_ends_the_broker_at_once(broker):
    worker = Worker(broker.endpoint, b"work")
    wait_served(broker, b"work")
    client = Client(broker.endpoint)
    client.send("work", "x")
    worker.records()
    broker.signal(signal.SIGTERM)
    wait_until(lambda: "msg=draining" in broker.log())
    broker.signal(signal.SIGTERM)
    assert broker.wait(1) == 128 + signal.SIGTERM


def test_a_broker_outlives_who_reads_its_log():
    """`pygmy-broker 2>&1 | head -1`, and then somebody comes of whom the log tells."""
    process = subprocess.Popen([program("pygmy-broker"), "--bind", "tcp://127.0.0.1:*"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        found = next(match for line in process.stderr if (match := LISTENING.search(line)))
        process.stderr.close()
        worker = Worker(found.group(1), b"work")
        wait_served(SimpleNamespace(endpoint=found.group(1)), b"work")
        worker.close()
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_a_broker_gives_up_what_does_not_end(broker):
    """The drain has a bound, and then an honest answer."""
    worker = Worker(broker.endpoint, b"work")
    wait_served(broker, b"work")
    client = Client(broker.endpoint)
    waiting = client.send("work", "x", timeout=20)
    worker.records()
    broker.signal(signal.SIGTERM)
    stop = time.monotonic() + 10
    while not client.socket.poll(50):
        assert time.monotonic() < stop
        worker.beat()
        client.socket.send_multipart(
            bus.pack(b"C", [(bus.HEARTBEAT, 0, 0, 0, 0, 0, b"test", b"")]))
        records = []
        while client.socket.poll(0):
            records += bus.unpack(b"C", client.socket.recv_multipart())
        replies = [record for record in records if record[0] == bus.REPLY]
        if replies:
            assert replies[0][2] == 9 and replies[0][4] == waiting[0]
            break
    assert broker.wait() == 0


def run(*arguments):
    return subprocess.run([program("pygmy-broker"), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=10)


def test_wrong_use_is_told(broker):
    """Status 2 for a wrong command line, 1 for what fails later."""
    result = run("--bind", broker.endpoint)
    assert result.returncode == 1 and broker.endpoint in result.stderr
    assert "in use" in result.stderr
    assert run("--bind", "nonsense").returncode == 1
    assert run("--no-such-option").returncode == 2
    assert run("--bind").returncode == 2
    assert run("--bind", "tcp://127.0.0.1:*", "--config", "x").returncode == 2
    assert run("--bind", "tcp://127.0.0.1:*", "--log-level", "loud").returncode == 2
    assert run("--config", "/nonexistent/cluster.conf").returncode == 2
    assert run("--version").returncode == 0
    help_text = run("--help")
    assert help_text.returncode == 0 and "--bind" in help_text.stdout


def test_a_peer_can_not_fill_the_log(broker):
    """Of one kind of event so many lines a second are written, and no more."""
    began = time.monotonic()
    attackers = [PlainClient(broker.endpoint, 2) for _ in range(300)]
    for attacker in attackers:
        attacker.send(b"garbage")
    wait_until(lambda: broker.counter("malformed") >= 300)
    for attacker in attackers:
        attacker.close()
    lines = broker.log().count("malformed message dropped")
    assert 1 <= lines <= 20 * (2 + int(time.monotonic() - began))


def test_a_message_above_the_bound_ends_its_connection(broker):
    """It never reaches the broker, its peer connects anew, and nobody else notices."""
    other, giant = PlainClient(broker.endpoint), PlainClient(broker.endpoint)
    assert giant.call(b"mmi.service", b"x" * 100) == [b"404"]
    received = broker.counter("messages_received")
    giant.ask(b"mmi.service", b"x" * (1024 * 1024 + 1))

    def is_answered_again():
        giant.ask(b"mmi.service", b"x")
        return giant.socket.poll(200)

    wait_until(is_answered_again)
    assert giant.answer(b"mmi.service") == ([b"404"], True)
    assert other.call(b"mmi.service", b"x") == [b"404"]
    assert broker.counter("messages_received") < received + 20
