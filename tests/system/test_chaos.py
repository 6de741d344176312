"""scripts/chaos: a short run of each kind, and the forwarders that it cuts replicas off with.

PYGMY_SEED says what the runs do (default: always the same), PYGMY_CHAOS_S how long each is (8).

SPDX-License-Identifier: Apache-2.0
"""

import glob
import importlib.machinery
import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys

import pytest

from cluster import ROOT, PortBlock, wait_until
from history import now
from network import Network
from proxy import Proxy, owner_of, socket_inode

CHAOS = os.path.join(ROOT, "scripts", "chaos")
SEED = os.environ.get("PYGMY_SEED", "5")
SECONDS = os.environ.get("PYGMY_CHAOS_S", "8")
# Long enough that something that passes a blocked pair would have come.
SILENCE_S = 0.3


# ---- Forwarders --------------------------------------------------------------------------------


class Speaker:
    """A process of its own with a connection: it sends what it is given and prints what it gets."""

    CODE = """
import os, socket, sys, threading
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def receive():
    while data := connection.recv(1024):
        os.write(1, data)
    os.close(1)
threading.Thread(target=receive, daemon=True).start()
while data := os.read(0, 1024):
    connection.sendall(data)
"""

    def __init__(self, folder, name, port):
        self.child = subprocess.Popen([sys.executable, "-c", self.CODE, str(port)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        os.set_blocking(self.child.stdout.fileno(), False)
        (folder / f"{name}.pid").write_text(f"{self.child.pid}\n")
        self.heard = b""

    def say(self, text):
        self.child.stdin.write(text)

    def hears(self, text):
        wait_until(lambda: self.listen().endswith(text), what=f"{text} arrives")

    def listen(self):
        self.heard += self.child.stdout.read() or b""
        return self.heard

    def close(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


class Listener:
    """What the forwarders connect to."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.socket.settimeout(10)

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(10)
        return connection

    def close(self):
        self.socket.close()


@pytest.fixture(name="rig")
def rig_fixture(tmp_path):
    """A forwarder to "one", and two processes, "two" and "three", that are connected to it: the
    proxy, the two, and their connections as "one" has them. Each of them can be heard."""
    ports, listener = PortBlock(), Listener(tmp_path / "one.peer")
    speakers, connections = [], []
    try:
        with Proxy(str(tmp_path), [("one", ports.base, str(tmp_path / "one.peer"))]) as proxy:
            for name in ("two", "three"):
                speakers.append(Speaker(tmp_path, name, ports.base))
                connections.append(listener.accept())
            yield proxy, speakers, connections
    finally:
        for each in [*speakers, *connections, listener]:
            each.close()
        ports.release()


def assert_silent(connection):
    connection.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        connection.recv(1024)
    connection.settimeout(10)


def test_what_is_said_passes_both_ways(rig):
    _, speakers, connections = rig
    for speaker, connection in zip(speakers, connections):
        speaker.say(b"there")
        assert connection.recv(1024) == b"there"
        connection.sendall(b"back")
        speaker.hears(b"back")


def test_a_blocked_way_holds_back_and_the_others_pass(rig):
    """And nothing is lost by it, nor any connection closed."""
    proxy, (two, three), (with_two, with_three) = rig
    proxy.block({("two", "one")})
    two.say(b"held back")
    three.say(b"passes")
    with_two.sendall(b"other way")
    assert with_three.recv(1024) == b"passes"
    two.hears(b"other way")
    assert_silent(with_two)
    proxy.block({("one", "two")})
    assert with_two.recv(1024) == b"held back"
    with_two.sendall(b", later")
    three.say(b"again")
    assert with_three.recv(1024) == b"again"
    assert_silent(with_two)
    assert two.listen() == b"other way"
    proxy.block(set())
    two.hears(b"other way, later")


def test_an_end_does_not_pass_a_blocked_way_before_it_is_free(rig):
    proxy, (two, _), (with_two, _) = rig
    proxy.block({("two", "one"), ("one", "two")})
    two.close()
    assert_silent(with_two)
    proxy.block(set())
    assert with_two.recv(1024) == b""


def test_the_owner_of_a_connection_is_found_by_its_socket(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        speaker = Speaker(tmp_path, "two", server.getsockname()[1])
        connection, far = server.accept()
        assert owner_of(str(tmp_path), far, connection.getsockname()) == "two"
        (tmp_path / "two.pid").unlink()
        assert owner_of(str(tmp_path), far, connection.getsockname()) is None
        assert socket_inode(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
        speaker.close()
        connection.close()


# ---- Faults ------------------------------------------------------------------------------------


class Played:
    """A store, its links and its recorder, for faults alone. A restart takes until all partitions
    are mended."""

    groups, env = {"broker": 0, "catalog": 3}, os.environ

    def __init__(self, folder):
        self.folder, self.mended = folder, folder / "mended"
        self.windows, self.blocked, self.pids = [], None, {}

    def path(self, name):
        return str(self.folder / name)

    def names(self, *_):
        return sorted(self.pids)

    def pid(self, name):
        return self.pids[name]

    def whom(self, _, __):
        return ["catalog-2", "catalog-3"]

    def command(self, *_):
        return ["sh", "-c", f"until [ -e {self.mended} ]; do sleep 0.01; done"]

    def block(self, pairs):
        self.blocked = pairs
        if not pairs:
            self.mended.touch()

    def window(self, *window):
        self.windows.append(window)


@pytest.fixture(name="nemesis")
def nemesis_fixture(tmp_path):
    loader = importlib.machinery.SourceFileLoader("chaos", CHAOS)
    chaos_script = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("chaos", loader))
    loader.exec_module(chaos_script)
    played = Played(tmp_path)
    nemesis = chaos_script.Nemesis(played, played, played, random.Random(1))
    yield nemesis, played
    nemesis.log.close()


@pytest.mark.limit_s(30)
@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_restart_that_waits_for_the_end_of_another_fault_does_not_keep_it_from_ending(
        nemesis, at_the_end):
    """A bridge ends its requests before itself, and those may wait for a group that is parted."""
    nemesis, played = nemesis
    nemesis.restart("restart", ["bridge-1"])
    nemesis.partition("partition-leader", ["catalog-1"])
    assert played.blocked and nemesis.away() == {"bridge-1", "catalog-1"}
    far = now() + 3600 * 10**9
    if at_the_end:
        nemesis.undo(None)
    else:
        wait_until(lambda: nemesis.undo(far) or not nemesis.under_way, what="all is undone")
    assert not played.blocked and nemesis.away() == set()
    assert [what for what, *_ in played.windows] == ["partition-leader catalog-1",
                                                     "restart bridge-1"]
    assert all(since <= until <= now() for _, since, until in played.windows)


@pytest.fixture(name="sleeper")
def sleeper_fixture():
    """A process that nobody minds being stopped."""
    with subprocess.Popen(["sleep", "1000"]) as child:
        yield child
        child.kill()


def state_of(child):
    with open(f"/proc/{child.pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(") ")[2][0]


@pytest.mark.parametrize("kind", ["kill-group", "pause-broker", "freeze-broker"])
def test_what_is_not_there_is_not_hit_nor_counted(nemesis, kind):
    """It has just ended, or is about to start: something else is hit, and this one later."""
    nemesis, played = nemesis
    with subprocess.Popen(["true"]) as child:
        child.wait()
        for pid in (None, child.pid):
            played.pids, nemesis.bag = {"catalog-1": pid}, [kind]
            nemesis.strike()
            assert not nemesis.under_way and nemesis.bag == [kind]
    nemesis.undo(None)
    assert not nemesis.counts


def test_a_fault_counts_when_it_has_lasted_as_long_as_it_was_to(nemesis, sleeper):
    """One that the end of the run cuts short does not."""
    nemesis, played = nemesis
    played.pids = {"catalog-1": sleeper.pid}
    assert nemesis.freeze("freeze-bridge", ["catalog-1"])
    wait_until(lambda: state_of(sleeper) == "T", what="it is stopped")
    nemesis.undo(None)
    wait_until(lambda: state_of(sleeper) != "T", what="it goes on")
    assert not nemesis.counts
    assert nemesis.freeze("freeze-bridge", ["catalog-1"])
    wait_until(lambda: nemesis.undo(now()) or not nemesis.under_way, what="it ends")
    assert nemesis.counts == {"freeze-bridge": 1}
    assert nemesis.kill("kill-group", ["catalog-1"]) and sleeper.wait() == -signal.SIGKILL
    assert nemesis.under_way


# ---- Runs --------------------------------------------------------------------------------------


def chaos(*flags, timeout=60):
    """Its status and what it printed. Ended early it takes its store down."""
    child = subprocess.Popen([CHAOS, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    try:
        text, _ = child.communicate(timeout=timeout)
    except BaseException:
        child.terminate()
        print(child.communicate()[0])
        raise
    return child.returncode, text


@pytest.fixture(name="namespaces")
def namespaces_fixture():
    """For tests that can't do without."""
    try:
        Network(["one"]).close()
    except OSError as problem:
        pytest.skip(f"no network namespaces here: {problem}")


def test_wrong_flags_are_told(tmp_path):
    (tmp_path / "something").touch()
    for flags in (["--seconds", "0"], ["--seconds", "soon"], ["--port-base", "0"], ["--sed", "1"],
                  ["--seed", "2-1"], ["--bridges", "0"], ["--bridges", "10"],
                  ["--dir", str(tmp_path)], ["--net", "cables"]):
        assert chaos(*flags)[0] == 2, flags
    assert "usage: scripts/chaos" in chaos("--help")[1]


def assert_clean(net, folder):
    status, text = chaos("--seed", SEED, "--seconds", SECONDS, "--net", net, "--dir", str(folder),
                         timeout=100 + 2 * float(SECONDS))
    print(text)
    assert status == 0
    assert text.startswith(f"seed {SEED}, partitions by {net}, ")
    assert text.endswith(f"verdict of seed {SEED}, partitions by {net}: clean\n")
    assert not folder.exists()


@pytest.mark.alone
@pytest.mark.limit_s(120 + 2 * float(SECONDS))
def test_a_store_under_fire_keeps_every_promise(tmp_path):
    assert_clean("proxies", tmp_path / "store")


@pytest.mark.alone
@pytest.mark.limit_s(120 + 2 * float(SECONDS))
def test_so_does_one_whose_processes_lose_each_other(tmp_path, namespaces):
    del namespaces
    assert_clean("namespaces", tmp_path / "store")


@pytest.mark.alone
@pytest.mark.parametrize("sign", ["founding", "faults.log"])
def test_a_run_that_is_ended_leaves_no_process_behind(tmp_path, namespaces, sign):
    """Neither while the store is coming up nor in the middle of faults."""
    del namespaces
    with subprocess.Popen([CHAOS, "--net", "namespaces", "--dir", str(tmp_path / "store")],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as child:
        try:
            sign = tmp_path / "store" / sign
            wait_until(lambda: sign.exists() and sign.read_text(), 60, f"{sign} is there")
        finally:
            child.terminate()
            print(child.communicate()[0])
    assert child.returncode == 1
    assert not glob.glob(str(tmp_path / "store" / "*.pid"))
    assert not (tmp_path / "store" / "supervisor.lock").exists()
