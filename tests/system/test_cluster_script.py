"""scripts/cluster as a supervisor, with stand-ins for the programs of the store.

SPDX-License-Identifier: Apache-2.0
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
from cluster import ROOT, SCRIPT, wait_until

pytestmark = pytest.mark.bare  # the stand-ins are no programs of the compiler

PROGRAMS = ("pygmy-broker", "pygmy-catalog", "pygmy-order", "pygmy-http", "pygmy")


@pytest.fixture
def build(tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    for name in PROGRAMS:
        shutil.copy(os.path.join(ROOT, "tests", "lib", "stand_in.py"), folder / name)
    return str(folder)


@pytest.fixture
def make(make_cluster, build):
    def make(*flags, up=True, does=None, small=True):
        store = make_cluster(*flags, env={"PYGMY_BUILD": build, "PYGMY_SUFFIX": ""}, up=False,
                             small=small)
        for name, what in (does or {}).items():
            tell(store, name, what)
        if up:
            store.up()
            wait_until(lambda: all_have_begun(store))
        return store

    return make


def tell(store, name, what):
    with open(store.path(name + ".does"), "w", encoding="utf-8") as file:
        json.dump(what, file)


def is_alive(pid):
    """Whether a process runs; one that has ended and is only not yet reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def starts(store, name):
    """When a process was started, as often as it was."""
    try:
        return [float(line.split()[0]) for line in store.read(name + ".starts").splitlines()]
    except FileNotFoundError:
        return []


def all_have_begun(store):
    """Whether every process has got as far as to end in order when it is asked to."""
    return all(starts(store, name) for name in store.pids())


def flags_of(store, name):
    """With what further flags a process was started last."""
    return store.read(name + ".starts").splitlines()[-1].split()[2:]


FULL = ("--brokers", "2", "--catalogs", "3", "--orders", "3", "--bridges", "2")
FULL_NAMES = [f"{kind}-{i}" for kind, count in (("bridge", 2), ("broker", 2), ("catalog", 3),
                                                ("order", 3)) for i in range(1, count + 1)]
REPLICAS = [name for name in FULL_NAMES if name.startswith(("catalog", "order"))]


def supervisor_pid(store):
    return int(store.read("supervisor.lock"))


def processes_of(store):
    """Pids of everything that runs for this store: its command line names its folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if os.fsencode(store.dir) in file.read() and is_alive(entry):
                        found.append(int(entry))
            except OSError:
                pass
    return found


def nothing_is_left(store):
    left = [name for name in ("supervisor.lock", "control.sock") if os.path.exists(store.path(name))]
    return processes_of(store) == [] and store.pids() == {} and left == []


def state_of(store, name):
    for line in store.script("status").stdout.splitlines():
        words = line.split()
        if words and words[0] == name:
            return words[2]
    return None


def lived_for_a_second(store, name):
    return starts(store, name) and time.monotonic() - starts(store, name)[-1] > 1.0


def test_up_starts_each_process_and_down_leaves_nothing_behind(make):
    store = make()
    assert sorted(store.pids()) == ["bridge-1", "broker-1", "catalog-1", "order-1"]
    assert all(is_alive(pid) for pid in store.pids().values())
    table = store.do("status").stdout
    assert table.count("running") == 4 and str(store.pid("order-1")) in table
    store.down()
    assert nothing_is_left(store)
    assert store.script("status").code == 3
    assert store.script("down").code == 0, "down twice is no error"


def test_without_numbers_each_group_has_three_replicas(make):
    store = make(small=False)
    assert sorted(store.pids()) == [name for name in FULL_NAMES if name != "bridge-2"]


def test_several_bridges_have_neighbouring_ports(make):
    store = make("--bridges", "3")
    for bridge in (1, 2, 3):
        assert store.get("/readyz", bridge=bridge).status == 200


def test_a_detached_supervisor_holds_nothing_of_its_caller(make):
    store = make(up=False)
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    child = subprocess.Popen(
        store.command("up", "--detach"),
        env=store.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(write_end,),
    )
    os.close(write_end)
    output, _ = child.communicate(timeout=15)  # ends only once nobody has the pipe open
    assert child.returncode == 0, output
    fcntl.fcntl(read_end, fcntl.F_SETFL, os.O_NONBLOCK)
    assert os.read(read_end, 1) == b"", "somebody still holds the other end"
    os.close(read_end)
    assert os.getsid(supervisor_pid(store)) == supervisor_pid(store)
    assert os.readlink(f"/proc/{supervisor_pid(store)}/cwd") == "/"


@pytest.mark.alone
def test_what_is_killed_is_started_again_within_200_ms(make):
    store = make()
    for name in ("broker-1", "catalog-1", "order-1", "bridge-1"):
        wait_until(lambda: lived_for_a_second(store, name))
        old = store.pid(name)
        killed_at = time.monotonic()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: store.pid(name) not in (None, old))
        assert time.monotonic() - killed_at < 0.2
        assert is_alive(store.pid(name))


def test_the_verb_kill_returns_when_the_old_process_is_gone(make):
    store = make()
    old = store.pid("order-1")
    store.kill("order-1")
    assert not is_alive(old)
    wait_until(lambda: state_of(store, "order-1") == "running")
    assert store.pid("order-1") != old


# As stand_in.py, for who has to be dead within a second on a machine that is busy, too: starting
# Python takes longer than that there.
DIES_AT_ONCE = """#!/bin/sh
read up idle </proc/uptime
echo "$up $$" >>order-1.starts
exit 1
"""
UPTIME_S = 0.01  # what /proc/uptime is exact to


def test_what_dies_at_once_waits_longer_each_time(make, build):
    """As the supervisor says, and at least for as long as it says."""
    store = make()
    program = os.path.join(build, "pygmy-order")
    os.rename(program, program + ".kept")
    with open(program, "w", encoding="ascii") as file:
        file.write(DIES_AT_ONCE)
    os.chmod(program, 0o755)
    store.kill("order-1")
    waits = wait_until(lambda: enough(waits_of(store, "order-1"), 4), 20)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    # The first is the one that was killed; the second one's death is followed by the first wait.
    started = wait_until(lambda: enough(starts(store, "order-1"), 6), 20)[1:]
    assert all(later - earlier >= wait - UPTIME_S
               for earlier, later, wait in zip(started, started[1:], waits))
    assert state_of(store, "order-1") in ("waiting", "running")
    os.rename(program + ".kept", program)
    wait_until(lambda: state_of(store, "order-1") == "running")


def enough(values, count):
    return values if len(values) >= count else None


def waits_of(store, name):
    """The pauses before the starts of a process that the supervisor has told of."""
    return [float(wait) for wait in re.findall(rf"^\S+ {name} .* now waiting for ([\d.]+) s$",
                                               store.read("supervisor.log"), re.MULTILINE)]


def test_what_ended_with_status_5_stays_down_until_somebody_starts_it(make):
    store = make()
    wait_until(lambda: lived_for_a_second(store, "catalog-1"))
    tell(store, "catalog-1", {"status": 5})
    store.kill("catalog-1")
    wait_until(lambda: state_of(store, "catalog-1") == "failed")
    assert store.script("status").code == 1
    # Another one dies and is restarted meanwhile; this one is not.
    store.kill("broker-1")
    wait_until(lambda: state_of(store, "broker-1") == "running")
    assert len(starts(store, "catalog-1")) == 2
    os.unlink(store.path("catalog-1.does"))
    store.start("catalog-1")
    assert state_of(store, "catalog-1") == "running"


def test_what_is_silent_is_left_alone(make):
    store = make()
    silent = store.pid("catalog-1")
    os.kill(silent, signal.SIGSTOP)
    store.kill("order-1")
    wait_until(lambda: state_of(store, "order-1") == "running")
    assert store.pid("catalog-1") == silent and state_of(store, "catalog-1") == "running"
    os.kill(silent, signal.SIGCONT)


def test_what_is_stopped_stays_down_until_start(make):
    store = make()
    old = store.pid("bridge-1")
    store.stop("bridge-1")
    assert not is_alive(old) and store.pid("bridge-1") is None
    assert store.read("ends") == "bridge-1\n", "it was asked to end, not killed"
    assert state_of(store, "bridge-1") == "stopped"
    store.kill("order-1")
    wait_until(lambda: state_of(store, "order-1") == "running")
    assert store.pid("bridge-1") is None
    assert store.script("kill", "bridge-1").code == 1
    store.start("bridge-1")
    wait_until(lambda: state_of(store, "bridge-1") == "running")


def test_restart_ends_it_in_order_and_starts_it(make):
    store = make()
    old = store.pid("broker-1")
    store.restart("broker-1")
    assert store.read("ends") == "broker-1\n"
    assert store.pid("broker-1") not in (None, old)


def test_what_ignores_sigterm_is_killed_after_10_s(make):
    """Not before; and who has asked for its end is told by then, or soon after, or gets an error."""
    store = make(does={"order-1": {"ignore_sigterm": True}})
    old = store.pid("order-1")
    asked_at = time.monotonic()
    store.stop("order-1")
    assert time.monotonic() - asked_at >= 10
    assert not is_alive(old) and state_of(store, "order-1") == "stopped"


def test_a_second_up_is_refused(make):
    store = make()
    pids = store.pids()
    result = store.script("up", "--detach")
    assert result.code == 1 and "already" in result.stderr
    assert store.pids() == pids


def run_in_foreground(store):
    child = subprocess.Popen(
        store.command("up"),
        env=store.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = ""
    for line in child.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    assert f"http://127.0.0.1:{store.port_base}" in said
    wait_until(lambda: all_have_begun(store))
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_stops_all_in_order(make, number):
    store = make(up=False)
    child = run_in_foreground(store)
    os.killpg(child.pid, number)  # as the terminal does it: to the whole group
    child.communicate(timeout=15)
    assert child.returncode == 0
    assert store.read("ends").split() == ["bridge-1", "order-1", "catalog-1", "broker-1"]
    assert nothing_is_left(store)


def test_a_second_ctrl_c_waits_for_nobody(make):
    store = make(up=False, does={"catalog-1": {"ignore_sigterm": True}})
    child = run_in_foreground(store)
    os.killpg(child.pid, signal.SIGINT)
    wait_until(lambda: os.path.exists(store.path("ends")) and "order-1" in store.read("ends"))
    os.killpg(child.pid, signal.SIGINT)
    child.communicate(timeout=5)
    assert nothing_is_left(store)


def test_children_end_with_a_killed_supervisor_and_the_next_up_works(make):
    store = make()
    pids = store.pids()
    supervisor = supervisor_pid(store)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in [supervisor, *pids.values()]))
    assert store.script("status").code == 3
    store.up()
    assert sorted(store.pids()) == sorted(pids)


def test_a_stale_pid_that_is_somebody_elses_now_is_not_killed(make):
    store = make(up=False)
    stranger = subprocess.Popen(["/bin/sleep", "1000"])
    try:
        with open(store.path("broker-1.pid"), "w", encoding="ascii") as file:
            file.write(f"{stranger.pid}\n")
        store.up()
        assert stranger.poll() is None
        assert store.pid("broker-1") != stranger.pid
    finally:
        stranger.kill()
        stranger.wait()


def test_a_taken_port_is_named_and_nothing_is_started(make):
    store = make(up=False)
    with socket.socket() as taken:
        # Connections of an earlier test's store may linger at this port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", store.port_base))
        taken.listen()
        result = store.script("up", "--detach")
    assert result.code == 1
    assert str(store.port_base) in result.stderr and "bridge-1" in result.stderr
    assert nothing_is_left(store)


def test_a_missing_program_is_named(make, build):
    os.unlink(os.path.join(build, "pygmy-order"))
    store = make(up=False)
    result = store.script("up", "--detach")
    assert result.code == 1 and "pygmy-order" in result.stderr
    assert nothing_is_left(store)


def test_a_store_that_does_not_get_ready_in_8_s_is_taken_down(make):
    store = make(up=False, does={"bridge-1": {"not_ready": True}})
    began_at = time.monotonic()
    result = store.script("up", "--detach")
    assert time.monotonic() - began_at >= 8
    assert result.code == 1 and "not ready within 8 s" in result.stderr
    assert "catalog has no leader" in result.stderr
    assert nothing_is_left(store)


def test_a_store_that_works_without_one_of_its_processes_is_up(make):
    """It is waited for a while, and not for ever."""
    store = make(up=False)
    with open(store.path("not_whole"), "w", encoding="ascii"):
        pass
    began_at = time.monotonic()
    store.up()
    assert time.monotonic() - began_at >= 2


def test_a_wrong_configuration_fails_at_once_with_the_words_of_the_log(make):
    """Nobody waits for the readiness of such a store."""
    refusing = {"status": 2, "say": "cluster.conf:7: no such key"}
    store = make(up=False, does={"catalog-1": refusing, "bridge-1": {"not_ready": True}})
    result = store.script("up", "--detach")
    assert result.code == 1 and "catalog-1 ended with status 2" in result.stderr
    assert "cluster.conf:7: no such key" in result.stderr and "not ready" not in result.stderr
    assert nothing_is_left(store)


def test_secrets_are_private_and_made_once(make):
    store = make()
    secrets = {name: store.read(name) for name in ("admin.token", "cluster.secret")}
    for name, text in secrets.items():
        assert stat.S_IMODE(os.stat(store.path(name)).st_mode) == 0o600
        assert len(text) == 64 and int(text, 16)
    assert secrets["admin.token"] != secrets["cluster.secret"]
    store.down()
    store.up()
    assert secrets == {name: store.read(name) for name in secrets}


def test_the_configuration_follows_the_flags_and_keeps_the_identifier(make):
    store = make()
    config = store.read("cluster.conf")
    identifier = config.split("uuid = ")[1].split()[0]
    base = store.port_base
    for line in (
        f"bus = tcp://127.0.0.1:{base + 10}",
        f"subscribe = tcp://127.0.0.1:{base + 20}",
        f"publish = tcp://127.0.0.1:{base + 30}",
        f"peer = tcp://127.0.0.1:{base + 40}",
        f"snapshots = tcp://127.0.0.1:{base + 50}",
        f"peer = tcp://127.0.0.1:{base + 60}",
        f"snapshots = tcp://127.0.0.1:{base + 70}",
        f"http = 127.0.0.1:{base}",
    ):
        assert line in config
    store.down()
    store.flags += ["--bridges", "2"]
    store.up()
    assert "bridge-2" in store.read("cluster.conf")
    assert f"uuid = {identifier}\n" in store.read("cluster.conf")


def test_many_of_each_kind_have_ports_of_their_own(make):
    """Ten apart, so that no number of one kind moves another."""
    store = make(*FULL)
    assert sorted(store.pids()) == FULL_NAMES
    config = store.read("cluster.conf")
    base = store.port_base
    for name, key, port in (("broker-2", "bus", 11), ("broker-2", "publish", 31),
                            ("catalog-3", "peer", 42), ("catalog-3", "snapshots", 52),
                            ("order-3", "peer", 62), ("order-3", "snapshots", 72)):
        section = config.partition(f"    {name}\n")[2]
        assert section.partition(f"        {key} = ")[2].startswith(f"tcp://127.0.0.1:{base + port}\n")
    for name in ("catalog-2", "broker-2"):
        old = store.pid(name)
        store.restart(name)
        assert store.pid(name) not in (None, old)
    store.down()
    assert nothing_is_left(store)


def test_replicas_are_stopped_one_by_one_and_kinds_in_order(make):
    store = make(*FULL, does={"catalog-1": {"ignore_sigterm": True}})
    down = subprocess.Popen(store.command("down"), env=store.env)
    wait_until(lambda: is_stopping(store, "catalog-1"))
    assert state_of(store, "catalog-2") == "running", "a leader could not hand over to it otherwise"
    os.kill(store.pid("catalog-1"), signal.SIGKILL)
    assert down.wait(timeout=15) == 0
    ends = store.read("ends").split()
    assert sorted(ends[:2]) == ["bridge-1", "bridge-2"] and sorted(ends[7:]) == ["broker-1", "broker-2"]
    assert ends[2:7] == ["order-1", "order-2", "order-3", "catalog-2", "catalog-3"]


def is_stopping(store, name):
    return state_of(store, name) == "stopping"


def test_replicas_are_founded_together_and_once(make):
    store = make(*FULL)
    assert sorted(store.read("founds").split()) == REPLICAS
    founded = store.read("founded").splitlines()
    assert [line.split()[0] for line in founded] == REPLICAS
    base = store.port_base
    assert founded[0] == f"catalog-1 tcp://127.0.0.1:{base + 40} tcp://127.0.0.1:{base + 50}"
    assert not os.path.exists(store.path("founding"))
    assert flags_of(store, "catalog-1") == []
    store.down()
    store.up()
    assert sorted(store.read("founds").split()) == REPLICAS


def test_a_replica_that_comes_later_joins_and_is_not_founded(make):
    store = make("--catalogs", "1")
    store.down()
    store.flags = ["--catalogs", "2"]
    store.up()
    wait_until(lambda: all_have_begun(store))
    assert "catalog-2" not in store.read("founds")
    assert flags_of(store, "catalog-2") == ["--join"] and flags_of(store, "catalog-1") == []


def test_a_founding_that_fails_says_why_and_is_gone_on_with(make):
    store = make("--catalogs", "3", up=False, does={"catalog-2": {"not_founded": True}})
    result = store.script("up", "--detach")
    assert result.code == 1 and "catalog-2 could not be founded" in result.stderr
    assert "the disk is on fire" in result.stderr
    assert not os.path.exists(store.path("founded")) and nothing_is_left(store)
    # With other numbers the logs that there are would name other members than those to come.
    store.flags = ["--catalogs", "2"]
    result = store.script("up", "--detach")
    assert result.code == 1 and "the founding" in result.stderr and "interrupted" in result.stderr
    store.flags = ["--catalogs", "3"]
    os.unlink(store.path("catalog-2.does"))
    store.up()
    assert os.path.exists(store.path("founded"))


def test_a_process_is_started_where_the_file_hosts_says(make):
    """At each start, at its founding too, and as the process itself."""
    store = make(up=False)
    wrap = f"""sh -c 'echo "$$ $*" >>{store.path("wrapped")}; exec "$@"' wrap"""
    with open(store.path("hosts"), "w", encoding="utf-8") as file:
        file.write(f"# name, address, what starts it\n"
                   f"bridge-1 127.0.0.2\n"
                   f"catalog-1 127.0.0.3 {wrap}\n")
    store.up()
    wait_until(lambda: all_have_begun(store))
    config = store.read("cluster.conf")
    assert f"http = 127.0.0.2:{store.port_base}\n" in config
    assert config.count("127.0.0.3:") == 2 and "catalog-1 tcp://127.0.0.3:" in store.read("founded")
    first = store.pid("catalog-1")
    store.kill("catalog-1")
    wait_until(lambda: len(starts(store, "catalog-1")) == 2)
    wrapped = [line.split() for line in store.read("wrapped").splitlines()]
    assert "--found" in wrapped[0]
    assert [int(words[0]) for words in wrapped[1:]] == [first, store.pid("catalog-1")]
    assert {words[1] for words in wrapped} == {os.path.join(store.env["PYGMY_BUILD"],
                                                            "pygmy-catalog")}


def test_a_wrong_line_in_the_file_hosts_is_told(make):
    store = make(up=False)
    for line in ("bridge-1\n", "bridge-1 127.0.0.1 'sh\n"):
        with open(store.path("hosts"), "w", encoding="utf-8") as file:
            file.write(line)
        result = store.script("up", "--detach")
        assert result.code == 1 and "a line is NAME ADDRESS [COMMAND...]" in result.stderr
    assert nothing_is_left(store)


def test_a_founded_store_does_not_move_to_other_ports(make):
    store = make()
    store.down()
    config = store.read("cluster.conf")
    moved = store.command("up", "--detach")
    moved[moved.index("--port-base") + 1] = str(store.port_base + 1)
    result = subprocess.run(moved, env=store.env, capture_output=True, text=True, timeout=30)
    assert result.returncode == 1 and "catalog-1, order-1 would move" in result.stderr
    assert store.read("cluster.conf") == config


def test_what_is_not_given_is_what_the_store_has(make):
    store = make("--brokers", "2", "--bridges", "2")
    store.down()
    command = [store.command("up")[0], "up", "--detach", "--dir", store.dir]
    assert subprocess.run(command, env=store.env, timeout=30).returncode == 0
    names = [name for name in FULL_NAMES if name.startswith(("broker", "bridge"))]
    assert sorted(store.pids()) == sorted([*names, "catalog-1", "order-1"])
    assert store.get("/readyz", bridge=2).status == 200


def test_a_configuration_of_the_same_layout_is_left_alone(make):
    store = make()
    store.down()
    with open(store.config, "a", encoding="utf-8") as file:
        file.write("        log = debug\n")
    text = store.read("cluster.conf")
    store.up()
    assert store.read("cluster.conf") == text


def test_the_sample_is_loaded_once(make):
    store = make("--sample")
    assert store.read("imports").count("import") == 1
    assert "sample.csv" in store.read("imports")
    store.down()
    store.up()
    assert store.read("imports").count("import") == 1


def test_a_long_path_of_the_folder_is_no_trouble(make):
    store = make(up=False)
    long = store.path(*["a" * 50] * 4)
    flags = ["--dir", long, "--port-base", str(store.port_base)]
    script = store.command("up")[0]
    try:
        up = subprocess.run([script, "up", "--detach", *flags], env=store.env, timeout=30)
        assert up.returncode == 0
        assert subprocess.run([script, "kill", "broker-1", *flags], timeout=30).returncode == 0
    finally:
        assert subprocess.run([script, "down", *flags], timeout=30).returncode == 0


@pytest.mark.parametrize(
    "words, message",
    [
        (["up", "--catalogs", "10"], "--catalogs is 1 to 9"),
        (["up", "--bridges", "0"], "--bridges is 1 to 9"),
        (["up", "--port-base", "x"], "--port-base"),
        (["up", "--port-base", "65530"], "--port-base"),
        (["up", "broker-1"], "takes no name"),
        (["fly"], "fly"),
        (["kill"], "name of a process"),
        ([], "which verb"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, message):
    result = subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert message in result.stderr


def test_flags_stand_before_or_after_the_verb(make):
    store = make()
    before = [store.command("status")[0], *store.command("status")[2:], "status"]
    assert subprocess.run(before, capture_output=True, timeout=30).returncode == 0


def test_logs_prints_the_log_of_a_process(make):
    store = make(does={"order-1": {"say": "here I am"}})
    assert store.do("logs", "order-1").stdout == "here I am\n"
    assert store.script("logs", "order-9").code == 1
    store.down()
    assert store.do("logs", "order-1").stdout == "here I am\n", "also without a supervisor"


def test_a_name_that_does_not_exist_is_an_error_that_tells_those_that_do(make):
    store = make()
    result = store.script("kill", "catalog-7")
    assert result.code == 1 and "catalog-1" in result.stderr
