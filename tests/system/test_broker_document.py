"""docs/protocol.md, part one: its programs run, and its numbers are those of the code.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import subprocess
import sys
import threading

import bus
from broker import Broker, Worker, wait_served
from cluster import ROOT


def part_one():
    with open(os.path.join(ROOT, "docs", "protocol.md"), encoding="utf-8") as file:
        text = file.read()
    return text[text.index("# Part one"):text.index("# Part two")]


def programs():
    return re.findall(r"```python\n(.*?)```", part_one(), re.DOTALL)


def serve_echo(broker, stop):
    worker = Worker(broker.endpoint, b"echo", credit=4)
    while not stop.is_set():
        worker.beat()
        if worker.socket.poll(50):
            for record in bus.unpack(b"W", worker.socket.recv_multipart()):
                if record[0] == bus.REQUEST:
                    worker.reply(record, record[7])
    worker.close()


def test_the_programs_of_the_document_run():
    """A plain client and one of the extension, as they stand there, each about 25 lines."""
    with Broker() as broker:
        stop = threading.Event()
        server = threading.Thread(target=serve_echo, args=(broker, stop))
        server.start()
        try:
            wait_served(broker, b"echo")
            said = []
            for program in programs():
                assert len(program.splitlines()) <= 27
                result = subprocess.run([sys.executable, "-c", program], capture_output=True,
                                        text=True, timeout=20, check=False,
                                        env=dict(os.environ, BROKER=broker.endpoint))
                assert result.returncode == 0, result.stderr
                said.append(result.stdout)
            assert said == ["hello\n", "7 0 hello\n"]
        finally:
            stop.set()
            server.join()


def limits():
    """The bounds of limits.h by name."""
    with open(os.path.join(ROOT, "broker", "bus", "limits.h"), encoding="utf-8") as file:
        rows = re.findall(r"^#define (\w+) (.+)$", file.read(), re.MULTILINE)
    found = {}
    for name, value in rows:
        value = re.sub(r"\b(\d+)L+\b", r"\1", value.split("/*")[0])
        # Sums and products of numbers and of earlier names.
        found[name] = eval(value, {"INT64_C": int}, found)
    return found


def test_the_numbers_of_the_document_are_those_of_the_code():
    """Each bound that the table of bounds, and the text on time, names."""
    text, bound = part_one(), limits()
    kib, mib = 1024, 1024 * 1024
    expected = [
        (f"| one message | {bound['MESSAGE_BYTES_MAX'] // mib} MiB |"),
        (f"| {bound['MESSAGE_FRAMES_MAX']}; {bound['BODY_FRAMES_MAX']} | malformed |"),
        (f"| body of a request | {bound['BODY_BYTES_MAX'] // kib} KiB |"),
        (f"| name of a service | {bound['SERVICE_NAME_BYTES_MAX']} bytes |"),
        (f"| credit | {bound['CREDIT_MAX']} |"),
        (f"| {bound['BROKER_REQUESTS_MAX']:,}; {bound['BROKER_BYTES_MAX'] // mib} MiB | queue-full"),
        (f"| {bound['BROKER_CLIENT_REQUESTS_MAX']:,}; "
         f"{bound['BROKER_CLIENT_BYTES_MAX'] // mib} MiB | queue-full"),
        (f"| {bound['BROKER_SERVICE_REQUESTS_MAX']:,}; "
         f"{bound['BROKER_SERVICE_BYTES_MAX'] // mib} MiB | queue-full"),
        (f"| services known | {bound['BROKER_SERVICES_MAX']} |"),
        (f"| connections known | {bound['BROKER_PEERS_MAX']:,} |"),
        (f"| {bound['OUTBOX_PEER_MESSAGES_MAX']:,}; {bound['OUTBOX_PEER_BYTES_MAX'] // mib} MiB; "
         f"{bound['OUTBOX_BYTES_MAX'] // mib} MiB for all |"),
        (f"| attempts | {bound['ATTEMPTS_MAX']} |"),
        (f"sent nothing for {bound['HEARTBEAT_PLAIN_MS']} ms"),
        (f"heard nothing for {bound['HEARTBEAT_PLAIN_GONE_MS'] / 1000} s"),
        (f"nothing else was sent for {bound['HEARTBEAT_MS']} ms"),
        (f"gone after {bound['HEARTBEAT_GONE_MS']} ms"),
        (f"{bound['REQUEST_DEADLINE_MS'] // 1000} s when none is given and "
         f"{bound['REQUEST_DEADLINE_MS_MAX'] // 1000} s at most"),
        (f"nor within the last {bound['SERVICE_GRACE_MS'] // 1000} s"),
        (f"within {bound['START_GRACE_MS'] // 1000} s of the broker's own start"),
        (f"no requests for {bound['NOT_LEADER_REST_MS']} ms"),
        (f"number of records, 1 to {bound['BATCH_COUNT_MAX']}"),
        (f"| {bound['BROKER_STRIKES_MAX']} strikes |"),
        (f"silent for {bound['BROKER_PEER_IDLE_MS'] // 1000} s"),
        (f"for {bound['DRAIN_MS_MAX'] // 1000} s at most"),
        (f"is {bound['RELAY_MESSAGES_MAX']:,} messages"),
    ]
    missing = [phrase for phrase in expected if phrase not in " ".join(text.split("\n"))]
    assert not missing
