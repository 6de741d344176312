"""A thread that does one thing again and again beside a test, and whose failure is the test's.

SPDX-License-Identifier: Apache-2.0
"""

import threading

from cluster import wait_until


class LoopThread(threading.Thread):
    """Calls turn() again and again until end(). What it raises is raised by who waits for it, or
    ends it. A subclass calls start() when it is ready; close() is called at the end of it all."""

    def __init__(self):
        super().__init__(daemon=True)
        self.failure = None
        self.ended = threading.Event()

    def turn(self):
        raise NotImplementedError

    def close(self):
        pass

    def run(self):
        try:
            while not self.ended.is_set():
                self.turn()
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure
        finally:
            self.close()

    def wait(self, condition, what, deadline_s=10.0):
        def look():
            if self.failure is not None:
                raise self.failure
            return condition()
        wait_until(look, deadline_s, what)

    def end(self):
        self.ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure
