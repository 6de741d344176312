"""`pygmy watch --json` at work, for the system tests: what it has shown, and how it ends.

SPDX-License-Identifier: Apache-2.0
"""

import json
import signal
import subprocess
import threading

from cluster import program, wait_until

END_S = 20.0
SHOW_S = 30.0


def index_of(since, group):
    """Of "catalog=12@0123abcd,orders=34@0123abcd" the index of a group, as the protocol names it; -1:
    none."""
    word = {"catalog": "catalog", "order": "orders"}[group]
    return int(dict(part.split("=") for part in since.split(",")).get(word, "-1").split("@")[0])


class Watch:
    """Runs until end(). `rows` holds for each group the last change that was shown of each item or
    order, and `shown` all of them in their order."""

    def __init__(self, store, *arguments, groups=("catalog", "order")):
        self.groups = groups
        self.rows = {group: {} for group in groups}
        self.shown, self.said, self.since = [], [], None
        self.failure = None
        self.process = subprocess.Popen(
            [program("pygmy"), "--config", store.config, "watch", "--json", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=store.env)
        self.threads = [threading.Thread(target=read) for read in (self.read, self.listen)]
        for thread in self.threads:
            thread.start()

    def take(self, line):
        change = json.loads(line)
        group, number = change["group"], change.get("number", change.get("id"))
        before = self.rows[group].get(number)
        assert before is None or before["version"] < change["version"], (before, change)
        if self.since is not None:
            for each in self.groups:
                assert index_of(self.since, each) <= index_of(change["since"], each), change
        self.rows[group][number] = change
        self.since = change["since"]
        self.shown.append(change)

    def read(self):
        try:
            for line in self.process.stdout:
                self.take(line)
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    def listen(self):
        self.said.extend(self.process.stderr)

    def wait(self, condition, what=None):
        def look():
            if self.failure is not None:
                raise self.failure
            assert self.process.poll() is None, f"it has ended: {self.said}"
            return condition()
        return wait_until(look, SHOW_S, what or "it is shown")

    def wait_begun(self):
        self.wait(lambda: all(any(word in line and "from index" in line for line in self.heard())
                              for word in self.titles()), "it has begun")
        return self

    def titles(self):
        return [{"catalog": "the catalog", "order": "the orders"}[group] for group in self.groups]

    def heard(self):
        """What it has said so far on standard error."""
        return list(self.said)

    def has(self, group, number, version):
        row = self.rows[group].get(number)
        return row is not None and row["version"] >= version

    def end(self, number=signal.SIGINT):
        """Interrupt it. The text for --since that it leaves."""
        self.process.send_signal(number)
        code = self.close()
        assert code == 0 and self.failure is None, (code, self.failure, self.said)
        assert self.said[-1].startswith("pygmy watch: go on from here: pygmy watch "), self.said
        return self.said[-1].split("--since ")[1].strip()

    def close(self):
        """Wait for its end, or bring it about. Its exit status."""
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code
