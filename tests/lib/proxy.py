#!/usr/bin/python3
"""Forwarders between the replicas of a store, and partitions: what one says to another may be held
back, each way by itself, with no connection closed, as when a cable is cut.

    with Proxy(folder, [("catalog-1", 8120, "/run/x/catalog-1.peer"), ...]) as proxy:
        proxy.block({("catalog-1", "catalog-2")})     # nothing from the first to the second
        proxy.block(set())

Each forwarder belongs to a process by name: it listens at the port at which that one is reached and
connects to the socket (AF_UNIX) at which it listens. Which process is at the other end it finds out from
the kernel: the inode of the connection's socket, and the descriptors of the processes whose pids
are in folder/NAME.pid.

What was on its way when a pair is blocked arrives when it is not blocked any more, and so does the
end of a connection.

It is a process of its own, this file: the customers of a load would keep it from its work.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import glob
import json
import os
import subprocess
import sys

CHUNK_BYTES = 65536
LOOK_S, LOOKS = 0.02, 10  # for the process of a connection


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
        answer = self.child.stdout.readline()
        if answer != "done\n":
            raise RuntimeError(f"the proxy has ended: {answer}")

    def block(self, pairs):
        """Hold back what goes from the first to the second of each of these, and nothing else. In
        effect when this returns."""
        self.ask({"blocked": sorted(pairs)})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


# ---- The process -------------------------------------------------------------------------------


def socket_inode(local, remote):
    """The inode of the socket whose own address is @local and whose other end is @remote, as
    (address, port) of IPv4. None: there is none (any more)."""
    def as_kernel(address, port):
        # The address is four bytes in the machine's order.
        number = int.from_bytes(bytes(map(int, address.split("."))), sys.byteorder)
        return f"{number:08X}:{port:04X}"

    wanted = [as_kernel(*local), as_kernel(*remote)]
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[1:3] == wanted:
                return int(fields[9])
    return None


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
        """A connection to @name, from its beginning to its end."""
        other = await self.owner(writer)
        writers = [writer]
        try:
            if other is not None:
                far_reader, far_writer = await asyncio.open_unix_connection(path)
                writers.append(far_writer)
                ways = [asyncio.ensure_future(self.pump(reader, far_writer, other, name)),
                        asyncio.ensure_future(self.pump(far_reader, writer, name, other))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody listens there just now
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
