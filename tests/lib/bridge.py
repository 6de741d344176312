"""A bridge alone, with a bus that the test plays, and raw connections to it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

from cluster import SANITIZER_REPORT, Cluster, PortBlock, program, wait_until
from fake_bus import FakeBus

CONFIG = """
cluster
    uuid = 0123456789abcdef0123456789abcdef
    secret = cluster.secret
    admin_token = admin.token
brokers
    broker-1
        bus = tcp://127.0.0.1:{bus}
bridges
    bridge-1
        http = 127.0.0.1:{http}
        hosts = store.example
"""
TOKEN = "the-admins-token"


class Bridge:
    """pygmy-http on a port of its own. The bus is there only with bus=True."""

    address = Cluster.address
    http = Cluster.http
    get = Cluster.get
    post = Cluster.post

    def __init__(self, bus=False):
        self.ports = PortBlock()
        self.port_base = self.ports.base
        self.dir = tempfile.mkdtemp(prefix="pygmy-bridge-")
        self.config = os.path.join(self.dir, "cluster.conf")
        self.write("cluster.conf", CONFIG.format(http=self.port_base, bus=self.port_base + 1))
        self.write("cluster.secret", "the-clusters-secret\n")
        self.write("admin.token", TOKEN + "\n")
        self.bus = FakeBus(f"tcp://127.0.0.1:{self.port_base + 1}") if bus else None
        self.process = self.start()
        wait_until(self.answers, what="the bridge listens")
        if bus:
            wait_until(lambda: self.get("/readyz").status == 200, what="the bridge is ready")

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)

    @property
    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self):
        with open(os.path.join(self.dir, "log"), "a", encoding="utf-8") as log:
            return subprocess.Popen([program("pygmy-http"), "--config", self.config], stderr=log,
                                    stdin=subprocess.DEVNULL)

    def answers(self):
        assert self.process.poll() is None, self.log
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def admin(self, method, path, body=None, headers=None):
        return self.http(method, path, body,
                         {"Authorization": f"Bearer {TOKEN}", **(headers or {})})

    def connect(self, timeout=15):
        return socket.create_connection(("127.0.0.1", self.port_base), timeout=timeout)

    def raw(self, request, timeout=15):
        """Send bytes, and return all that comes until the bridge closes: after an error of framing,
        or because the last request asked for it."""
        with self.connect(timeout) as connection:
            connection.sendall(request)
            return receive_all(connection)

    def metric(self, name):
        """The sum of a metric's series."""
        lines = self.get("/metrics").body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.split(" ")[0].split("{")[0] == name)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        """End it, and look at how it ends."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(20)
            assert not SANITIZER_REPORT.search(self.log), self.log
            assert status == 0, f"ended with status {status}: {self.log}"
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.bus:
                self.bus.close()
            self.ports.release()
            shutil.rmtree(self.dir, ignore_errors=True)


def receive_all(connection):
    """All bytes until the other side closes, however it does."""
    received = b""
    try:
        while True:
            piece = connection.recv(65536)
            if not piece:
                return received
            received += piece
    except ConnectionResetError:
        return received


def receive_until(connection, ending, count=1):
    """Bytes until the ending has come so often."""
    received = b""
    while received.count(ending) < count:
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received
