"""Hosts of their own on one machine, and partitions between them: network namespaces.

    network = Network(["broker-1", "catalog-1", "customers"])
    subprocess.Popen([*network.command("broker-1"), program, ...])
    with network.at("customers"):                 # the calling thread, and whatever it starts
        socket.create_connection((network.address("broker-1"), port))
    network.block({("customers", "broker-1")})    # nothing from the first to the second

Each host has an address and one cable, into a bridge in a namespace that is a router. All they send
to each other passes it (a host knows no neighbour but the router), and what is blocked is dropped
there without a word, by rules of the kernel's policy routing (ip-rule(8)), which need neither
netfilter nor modules of tc. So a partition is what it is in a real network: nothing is held back for
later as by proxy.py, it is lost; the kernel sends it again, at ever longer intervals; nobody is told
anything.

Nothing of it has a name outside: the namespaces are descriptors of this process, and the kernel
removes each of them, with all that is in it, when this process and the last one in it have ended,
however that comes about. The machine's own network, its interfaces, addresses and rules, is neither
used nor seen from in here.

Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN), iproute2 and nsenter(1).

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000  # of <linux/sched.h>
LIBC = ctypes.CDLL(None, use_errno=True)
NET = "198.18.0."  # of the addresses that RFC 2544 gives to networks under test
ROUTER = 254
HOSTS_MAX = 200
RULE = 10  # the priority of those that drop, between those of the tables "local" and "main"


class Network:
    """The hosts, until close(); as a context, for as long as the block lasts."""

    def __init__(self, names):
        """Raises OSError with what is missing, where this can't be had."""
        assert len(names) <= HOSTS_MAX
        self.names = list(names)
        self.numbers = {name: number for number, name in enumerate(names, 1)}
        self.namespaces = {}
        self.blocked = set()
        self.home = open_own()
        try:
            for name in (None, *names):  # None is the router
                self.namespaces[name] = self.make_namespace()
            self.wire()
        except BaseException:
            self.close()
            raise

    def close(self):
        while self.namespaces:
            os.close(self.namespaces.popitem()[1])
        os.close(self.home)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def address(self, name):
        return f"{NET}{self.numbers[name]}"

    def command(self, name):
        """What starts a program at a host: it and its arguments are appended, and it is the same
        process."""
        return ["nsenter", f"--net={self.path(name)}"]

    @contextlib.contextmanager
    def at(self, name):
        """Take the calling thread to a host. Threads that were there before stay where they are."""
        enter(self.namespaces[name])
        try:
            yield
        finally:
            enter(self.home)

    def block(self, pairs):
        """Drop what goes from the first to the second of each of these, and nothing else. In effect
        when this returns."""
        wanted = set(pairs)
        lines = [f"rule {verb} priority {RULE} from {self.address(source)} to {self.address(sink)} "
                 "blackhole"
                 for verb, some in (("del", self.blocked - wanted), ("add", wanted - self.blocked))
                 for source, sink in sorted(some)]
        if lines:
            self.ip(None, lines)
        self.blocked = wanted

    # How it is made.

    def path(self, name):
        return f"/proc/{os.getpid()}/fd/{self.namespaces[name]}"

    def make_namespace(self):
        check(LIBC.unshare(CLONE_NEWNET), "make a network namespace")
        try:
            return open_own()
        finally:
            enter(self.home)

    def wire(self):
        router = ["link set lo up", "link add bridge type bridge", "link set bridge up",
                  f"address add {NET}{ROUTER}/24 dev bridge"]
        for name, number in self.numbers.items():
            router += [f"link add port{number} type veth peer name cable netns {self.path(name)}",
                       f"link set port{number} master bridge up"]
        self.ip(None, router)
        # A router that told its hosts of a shorter way would soon have no part in it any more.
        self.run(None, ["sh", "-c", "cd /proc/sys/net/ipv4 && echo 0 >conf/all/send_redirects && "
                                    "echo 0 >conf/bridge/send_redirects && echo 1 >ip_forward"])
        for name in self.numbers:
            self.ip(name, ["link set lo up", "link set cable up",
                           f"address add {self.address(name)}/32 dev cable",
                           f"route add {NET}{ROUTER} dev cable",
                           f"route add default via {NET}{ROUTER}"])

    def ip(self, name, lines):
        self.run(name, ["ip", "-batch", "-"], "\n".join(lines) + "\n")

    def run(self, name, command, text=""):
        done = subprocess.run([*self.command(name), *command], input=text, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
        if done.returncode != 0:
            raise OSError(f"{' '.join(command)}: {done.stdout.strip()}")


def open_own():
    """A descriptor of the namespace that the calling thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(namespace):
    check(LIBC.setns(namespace, CLONE_NEWNET), "enter a network namespace")


def check(result, what):
    if result != 0:
        raise OSError(f"cannot {what}: {os.strerror(ctypes.get_errno())}")
