"""A file of a secret that is not as it must be: every program says so, in the same words, and ends
with the status of a wrong configuration, so that nobody tries it again.

SPDX-License-Identifier: Apache-2.0
"""

import os
import subprocess
import time

import pytest
from cluster import program

DAEMONS = ("broker-1", "catalog-1", "order-1", "bridge-1")
PROGRAMS = {"broker-1": "pygmy-broker", "catalog-1": "pygmy-catalog", "order-1": "pygmy-order",
            "bridge-1": "pygmy-http"}
CONFIG = """cluster
    uuid = 0123456789abcdef0123456789abcdef
    secret = cluster.secret
    admin_token = admin.token
brokers
    broker-1
        bus = tcp://127.0.0.1:1
catalogs
    catalog-1
        id = 1
        data = catalog-1
        peer = tcp://127.0.0.1:2
        snapshots = tcp://127.0.0.1:5
orders
    order-1
        id = 1
        data = order-1
        peer = tcp://127.0.0.1:3
        snapshots = tcp://127.0.0.1:6
bridges
    bridge-1
        http = 127.0.0.1:4
"""


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


def run(folder, name):
    """What a program says, less its name, and its status."""
    done = subprocess.run([program(PROGRAMS[name]), "--config", folder / "cluster.conf"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    begin = f"{PROGRAMS[name]}: "
    assert done.stdout == "" and done.stderr.startswith(begin), done
    return done.stderr.removeprefix(begin), done.returncode


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "cluster.conf", CONFIG)
    write(tmp_path / "cluster.secret", "the-secret\n")
    write(tmp_path / "admin.token", "the-token\n")
    return tmp_path


def test_a_bad_secret_is_told_alike_by_all(folder):
    """Absent, for everybody to read, empty, of two lines."""
    path = folder / "cluster.secret"
    for text, mode, why in [(None, 0, "No such file"), ("x\n", 0o640, "chmod 600"),
                            ("\n", 0o600, "one line"), ("a\nb\n", 0o600, "one line")]:
        path.unlink()
        if text is not None:
            write(path, text, mode)
        told = {run(folder, name) for name in DAEMONS}
        assert len(told) == 1, told
        ((sentence, status),) = told
        assert status == 2 and str(path) in sentence and why in sentence, told
        path.touch()


def test_a_bad_token_is_told_by_the_bridge(folder):
    """It alone reads it."""
    (folder / "admin.token").chmod(0o644)
    sentence, status = run(folder, "bridge-1")
    assert status == 2 and str(folder / "admin.token") in sentence and "chmod 600" in sentence


@pytest.mark.alone
def test_a_store_with_a_bad_secret_is_not_tried_again(make_cluster):
    """It fails at once, with the words of the program, instead of after the time it may take."""
    store = make_cluster(up=False)
    with open(store.path("cluster.secret"), "w", encoding="ascii") as file:
        file.write("the-secret\n")
    os.chmod(file.name, 0o644)
    began = time.monotonic()
    result = store.script("up", "--detach")
    assert result.code == 1 and "chmod 600" in result.stderr, result
    assert time.monotonic() - began < 5  # READY_S_MAX of scripts/cluster is 8
