"""What the benchmarks in Python share: arguments, a store on a disk, and figures of several rounds.

    as_json, rounds = bench.begin()
    with bench.whole_store(small=False, on_disk=True) as cluster:
        bench.put_on_sale(cluster, range(1, 101), stock=1000000)
        ...
    print(bench.spread_text(bench.spread(ratios), 2))
    bench.end(enough for _, enough in goals)

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time

from cluster import Cluster, PortBlock, wait_until

ROUNDS_DEFAULT, ROUNDS_MAX = 5, 99
PRIORITY = -10
PRICE_CENTS = 1999
MEMORY = ("tmpfs", "ramfs")  # file systems that sync nothing
READY_S_MAX = 20


def name():
    """The benchmark's."""
    return os.path.basename(sys.argv[0])


def fail(why):
    """Nothing can be measured: say why, and end with status 1."""
    sys.exit(f"{name()}: {why}")


def end(enough):
    """The end, with status 1 if one of the goals was missed; @enough tells of each."""
    sys.exit(0 if all(enough) else 1)


# --- The beginning -------------------------------------------------------------------------------


def options(words):
    """What [--json] [ROUNDS] say: (as_json, rounds). Ends with status 2 if @words are others."""
    as_json = words[:1] == ["--json"]
    rest = words[1:] if as_json else words
    if not rest:
        return as_json, ROUNDS_DEFAULT
    if len(rest) == 1 and rest[0].isdecimal() and 0 < int(rest[0]) <= ROUNDS_MAX:
        return as_json, int(rest[0])
    sys.stderr.write(f"usage: {name()} [--json] [ROUNDS]    1 to {ROUNDS_MAX} rounds, by default "
                     f"{ROUNDS_DEFAULT}\n")  # fmt: skip
    sys.exit(2)


def begin():
    """The options. If it is permitted, we and all that we start have a raised priority from here
    on: else what else the machine does is in the figures."""
    found = options(sys.argv[1:])
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    return found


# --- A store -------------------------------------------------------------------------------------


def folder(on_disk):
    """Where files go. @on_disk: memory is refused, for a benchmark of what is synced."""
    path = os.environ.get("PYGMY_BENCH_DIR") or "/var/tmp"
    kind = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True)
    if kind.returncode != 0 or (on_disk and kind.stdout.strip() in MEMORY):
        fail(f"{path} is no directory{' on a disk' if on_disk else ''}; "
             "name one in PYGMY_BENCH_DIR")  # fmt: skip
    return path


@contextlib.contextmanager
def whole_store(*flags, on_disk, **others):
    """A Cluster of these arguments, with its files in folder(), that runs until the block ends."""
    place = folder(on_disk)
    ports = PortBlock()  # before the next line: tests look elsewhere for whose ports are whose
    tempfile.tempdir = place
    cluster = Cluster(*flags, ports=ports, **others)
    try:
        cluster.up()
        wait_until(lambda: cluster.pygmy("status").code == 0, READY_S_MAX, "a whole store")
        yield cluster
    finally:
        cluster.close()


def put_on_sale(cluster, items, stock):
    """Each of the items, all with so many pieces."""
    rows = "".join(f"{item},Item {item},{PRICE_CENTS},{stock}\n" for item in items)
    result = cluster.pygmy("import", "-", stdin="id,title,price_cents,stock\n" + rows)
    if result.code != 0:
        fail(result)


# --- Figures -------------------------------------------------------------------------------------


def processor_s(pid):
    """What a process has used, all threads of it, those that have ended as well."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error != 0:
        raise OSError(error, f"the clock of process {pid}: {os.strerror(error)}")
    return time.clock_gettime(clock.value)


def spread(values):
    """Of one value of each round."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def spread_text(of, digits):
    """Such as "1.05 [0.90 1.28]"."""
    return f"{of['median']:.{digits}f} [{of['least']:.{digits}f} {of['most']:.{digits}f}]"


def yes(so):
    return "yes" if so else "no"
