"""A store of its own for a test, by way of scripts/cluster.

    def test_something(cluster):
        answer = cluster.http("POST", "/orders", {"lines": [...]}, {"Idempotency-Key": "k"})
        assert answer.status == 201 and answer.json["order_number"] == 1
        cluster.kill("catalog-1")
        wait_until(lambda: cluster.pygmy("lookup", "1").code == 0)

SPDX-License-Identifier: Apache-2.0
"""

import fcntl
import glob
import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "scripts", "cluster")
PORTS = 80  # what one store may use, from its base on
# Below the range that the kernel takes the ports of outgoing connections from.
BASES = range(10000, 32000, PORTS)
LOG_LINES_SHOWN = 60
# What most tests need; the store that people get has more of each.
SMALL = ["--brokers", "1", "--catalogs", "1", "--orders", "1", "--bridges", "1"]

SANITIZER_REPORT = re.compile(
    r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:)"
)


def wait_until(condition, deadline_s=10.0, what=None):
    """Wait for condition() to be true, and return what it returned. Fails at the deadline."""
    deadline = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise AssertionError(f"after {deadline_s} s still not: {what or condition}")
        time.sleep(0.01)


def program(name):
    """The path of a program that was built, such as program("pygmy-broker")."""
    build = os.environ.get("PYGMY_BUILD") or os.path.join(ROOT, "build")
    return os.path.join(build, name + os.environ.get("PYGMY_SUFFIX", ""))


class PortBlock:
    """A range of free ports that no other test on this machine takes until it is released."""

    def __init__(self):
        folder = os.path.join(tempfile.gettempdir(), f"pygmy-ports-{os.getuid()}")
        os.makedirs(folder, exist_ok=True)
        for base in random.sample(BASES, len(BASES)):
            self.descriptor = os.open(os.path.join(folder, str(base)), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self.descriptor)
                continue
            if all(port_is_free(port) for port in range(base, base + PORTS)):
                self.base = base
                return
            os.close(self.descriptor)
        raise RuntimeError("no free block of ports")

    def release(self):
        os.close(self.descriptor)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def probed_ports():
    """The ports of this machine at which there is a connection that the kernel probes when it is
    silent."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    # State 01: established; timer 02: keepalive.
    return {int(row[1].partition(":")[2], 16) for row in rows
            if row[3] == "01" and row[5].startswith("02:")}


class Result:
    """What a command gave."""

    def __init__(self, completed):
        self.code = completed.returncode
        self.stdout = completed.stdout
        self.stderr = completed.stderr

    @property
    def json(self):
        return json.loads(self.stdout)

    def __repr__(self):
        return f"status {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}"


class Answer:
    """What an HTTP server gave. Header names are looked up without regard to case."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:500]!r}"


class Cluster:
    """A store on ports and in a folder of its own. up() starts it, close() ends and removes it.

    It has one process of each kind unless the flags say otherwise, or small is False: then it is
    what scripts/cluster makes by itself."""

    def __init__(self, *flags, env=None, ports=None, small=True):
        self.flags = [*(SMALL if small else []), *flags]
        self.env = dict(os.environ, **(env or {}))
        self.dir = tempfile.mkdtemp(prefix="pygmy-test-")
        self.ports = ports or PortBlock()

    @property
    def port_base(self):
        return self.ports.base

    def address(self, name):  # pylint: disable=unused-argument; a store on many hosts overrides it
        """Where a process is reached."""
        return "127.0.0.1"

    @property
    def config(self):
        return os.path.join(self.dir, "cluster.conf")

    @property
    def admin_token(self):
        return self.read("admin.token").strip()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def read(self, *names):
        with open(self.path(*names), encoding="utf-8", errors="replace") as file:
            return file.read()

    def command(self, verb, *arguments):
        place = ["--dir", self.dir, "--port-base", str(self.port_base)]
        return [SCRIPT, verb, *arguments, *place, *self.flags]

    def script(self, verb, *arguments, timeout=60):
        """A verb of scripts/cluster, whatever comes of it."""
        return Result(
            subprocess.run(
                self.command(verb, *arguments),
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        )

    def do(self, verb, *arguments):
        """A verb of scripts/cluster that has to succeed."""
        result = self.script(verb, *arguments)
        assert result.code == 0, f"cluster {verb} {arguments}: {result}"
        return result

    def up(self):
        self.do("up", "--detach")
        return self

    def down(self):
        self.do("down")

    def kill(self, name):
        self.do("kill", name)

    def stop(self, name):
        self.do("stop", name)

    def start(self, name):
        self.do("start", name)

    def restart(self, name):
        self.do("restart", name)

    def pid(self, name):
        """The pid of a process. None while it has none."""
        try:
            return int(self.read(name + ".pid"))
        except FileNotFoundError:
            return None

    def pids(self):
        names = [os.path.basename(path)[:-4] for path in glob.glob(self.path("*.pid"))]
        return {name: pid for name in names if (pid := self.pid(name)) is not None}

    def http(self, method, path, body=None, headers=None, bridge=1, timeout=15):
        """One request to a bridge. A body that is no bytes or text is sent as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(
            self.address(f"bridge-{bridge}"), self.port_base + bridge - 1, timeout=timeout
        )
        try:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **arguments):
        return self.http("GET", path, **arguments)

    def post(self, path, body=None, headers=None, **arguments):
        return self.http("POST", path, body, headers, **arguments)

    def admin(self, method, path, body=None, headers=None, **arguments):
        """A request with the admin's token."""
        headers = {"Authorization": f"Bearer {self.admin_token}", **(headers or {})}
        return self.http(method, path, body, headers, **arguments)

    def pygmy(self, *arguments, stdin=None, timeout=60):
        """The command-line client."""
        return Result(
            subprocess.run(
                [program("pygmy"), "--config", self.config, *map(str, arguments)],
                env=self.env,
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        )

    def logs(self):
        """Name and text of every log."""
        for path in sorted(glob.glob(self.path("*.log"))):
            yield os.path.basename(path), self.read(os.path.basename(path))

    def dump_logs(self):
        for name, text in self.logs():
            print(f"--- {name}")
            print("\n".join(text.splitlines()[-LOG_LINES_SHOWN:]))

    def sanitizer_reports(self):
        """What sanitizers have found in the processes: respawn would hide it otherwise."""
        found = []
        for name, text in self.logs():
            hit = SANITIZER_REPORT.search(text)
            if hit:
                found.append(f"{name}: {text[max(hit.start() - 200, 0):hit.start() + 4000]}")
        return found

    def close(self):
        """Stop it, look at what the sanitizers say, remove it."""
        try:
            result = self.script("down")
            reports = self.sanitizer_reports()
            assert not reports, "\n".join(reports)
            assert result.code == 0, f"down: {result}"
        finally:
            self.ports.release()
            shutil.rmtree(self.dir, ignore_errors=True)
