#!/usr/bin/python3
"""Forwarders between the replicas of a store, and partitions: what one says to another may be held
back, each way by itself, with no connection closed, as when a cable is cut.

    with Proxy(folder, [("catalog-1", 8120, "/run/x/catalog-1.peer"), ...]) as proxy:
        proxy.block({("catalog-1", "catalog-2")})     # nothing from the first to the second
        proxy.block(set())

Each forwarder belongs to a process by name: it listens at the port at which that one is reached and
connects to the socket (AF_UNIX) at which it listens. Which process is at the other end it finds out
from the kernel: the inode of the connection's socket, and the descriptors of the processes whose
pids are in folder/NAME.pid.

What was on its way when a pair is blocked arrives when it is not blocked any more, and so does the
end of a connection.

It is a process of its own, this file: the customers of a load would keep it from its work.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import glob
import json
import os
import select
import socket
import struct
import subprocess
import sys

CHUNK_BYTES = 65536
LOOK_S, LOOKS = 0.02, 10  # for the process of a connection
ASK_S_MAX = 10.0  # within which the proxy does what it is asked
# Of <linux/netlink.h> and <linux/sock_diag.h>; where struct inet_diag_msg has its last member.
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NETLINK_HEAD = 4, 20, 1, 16
INODE_AT = NETLINK_HEAD + 4 + 48 + 4 * 4
RESET = struct.pack("ii", 1, 0)  # end a connection at once, as the kernel does of a port without owner


class Proxy:
    """The forwarders, for as long as the block lasts."""

    def __init__(self, folder, forwarders):
        """@forwarders: name, port and path of each. All listen when this returns."""
        self.child = subprocess.Popen([sys.executable, os.path.abspath(__file__), folder],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask({"forwarders": forwarders})

    def ask(self, request):
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        there, _, _ = select.select([self.child.stdout], [], [], ASK_S_MAX)
        if not there or self.child.stdout.readline() != "done\n":
            raise RuntimeError("the proxy has ended" if there else "the proxy does not answer")

    def block(self, pairs):
        """Hold back what goes from the first to the second of each of these, and nothing else. In
        effect when this returns."""
        self.ask({"blocked": sorted(pairs)})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.terminate()
        self.child.wait()
        self.child.stdout.close()


# ---- The process -------------------------------------------------------------------------------


def socket_inode(local, remote):
    """The inode of the socket whose own address is @local and whose other end is @remote, as
    (address, port) of IPv4. None: there is none (any more).

    The kernel is asked for this one (sock_diag(7)): a walk over all, /proc/net/tcp, takes 30 ms on a
    machine of some thousand connections, and they come a hundred a second when replicas look for
    one that is gone."""
    def as_16(address):
        return socket.inet_aton(address).ljust(16, b"\0")

    wanted = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 2**32 - 1) + \
        struct.pack(">HH", local[1], remote[1]) + as_16(local[0]) + as_16(remote[0]) + \
        struct.pack("=IQ", 0, 2**64 - 1)  # any interface, and whatever its cookie
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(ASK_S_MAX)
        kernel.send(struct.pack("=IHHII", NETLINK_HEAD + len(wanted), SOCK_DIAG_BY_FAMILY,
                                NLM_F_REQUEST, 1, 0) + wanted)
        answer = kernel.recv(4096)
    _, kind = struct.unpack_from("=IH", answer)
    return struct.unpack_from("=I", answer, INODE_AT)[0] if kind == SOCK_DIAG_BY_FAMILY else None


def holds(pid, inode):
    """Whether a process has that socket."""
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                if os.readlink(os.path.join(folder, name)) == f"socket:[{inode}]":
                    return True
            except FileNotFoundError:
                continue  # closed meanwhile
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended
    return False


def owner_of(folder, local, remote):
    """The name of the process in @folder at the @local end of a connection, or None."""
    inode = socket_inode(local, remote)
    for path in glob.glob(os.path.join(folder, "*.pid")) if inode else ():
        try:
            with open(path, encoding="ascii") as file:
                pid = int(file.read())
        except (FileNotFoundError, ValueError):
            continue
        if holds(pid, inode):
            return os.path.basename(path).removesuffix(".pid")
    return None


class Forwarders:
    """All forwarders of one store, in one loop."""

    def __init__(self, folder):
        self.folder = folder
        self.blocked = set()
        self.changed = asyncio.Condition()
        self.servers = []

    async def listen(self, name, port, path):
        async def on_connection(reader, writer):
            await self.carry(name, path, reader, writer)
        self.servers.append(await asyncio.start_server(on_connection, "127.0.0.1", port))

    async def block(self, pairs):
        async with self.changed:
            self.blocked = {tuple(pair) for pair in pairs}
            self.changed.notify_all()

    async def may_pass(self, source, sink):
        if (source, sink) in self.blocked:
            async with self.changed:
                await self.changed.wait_for(lambda: (source, sink) not in self.blocked)

    async def owner(self, writer):
        """Who has connected. None: it is nobody we know, or gone."""
        ends = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        for _ in range(LOOKS):
            name = owner_of(self.folder, *ends)
            if name is not None:
                return name
            await asyncio.sleep(LOOK_S)  # its pid may not be written yet
        return None

    async def carry(self, name, path, reader, writer):
        """A connection to @name, from its beginning to its end. Where nobody listens it ends first of
        all, and without leaving a trace in the kernel: it is tried again a hundred times a second,
        and whoever looks for an owner goes over all the traces."""
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(path)
            writers.append(far_writer)
            other = await self.owner(writer)
            if other is not None:
                ways = [asyncio.ensure_future(self.pump(reader, far_writer, other, name)),
                        asyncio.ensure_future(self.pump(far_reader, writer, name, other))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            for each in writers:
                each.close()

    async def pump(self, reader, writer, source, sink):
        while True:
            data = await reader.read(CHUNK_BYTES)
            await self.may_pass(source, sink)
            if not data:
                return
            writer.write(data)
            await writer.drain()


async def serve(folder):
    """Do what stdin says, a line at a time, until it ends."""
    forwarders = Forwarders(folder)
    stdin = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    while line := await stdin.readline():
        request = json.loads(line)
        for forwarder in request.get("forwarders", ()):
            await forwarders.listen(*forwarder)
        if "blocked" in request:
            await forwarders.block(request["blocked"])
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
