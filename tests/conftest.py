"""Fixtures for tests against real processes; see tests/lib/cluster.py for what they give.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from cluster import Cluster  # noqa: E402

TEST_S_MAX = 120


def pytest_configure(config):
    config.addinivalue_line("markers", "limit_s(seconds): how long the test may take (120)")
    config.addinivalue_line(
        "markers", "alone: it measures time or memory, and is run by itself when all others are done"
    )
    config.addinivalue_line(
        "markers", "bare: a sanitizer in the programs has nothing to see in it that it doesn't see"
        " elsewhere, and the test is left out with one"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets a fixture's teardown know whether its test failed."""
    outcome = yield
    if call.when in ("setup", "call") and outcome.get_result().failed:
        item.failed_in = call.when


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """No test hangs: it fails at its limit, with the stack of where it was."""
    marker = item.get_closest_marker("limit_s")
    seconds = marker.args[0] if marker else TEST_S_MAX

    def on_alarm(*_):
        raise AssertionError(f"still running after {seconds} s")

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def make_cluster(request):
    """make_cluster(flags..., env={...}, up=True): as many stores as the test wants."""
    made = []

    def make(*flags, up=True, **arguments):
        made.append(Cluster(*flags, **arguments))
        return made[-1].up() if up else made[-1]

    yield make
    for cluster in made:
        if getattr(request.node, "failed_in", None):
            cluster.dump_logs()
    problems = []
    for cluster in made:
        try:
            cluster.close()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def cluster(make_cluster):
    """An empty store of the test's own."""
    return make_cluster()


@pytest.fixture(scope="session")
def store_of_session():
    store = Cluster("--sample")
    try:
        store.up()
        yield store
    finally:
        store.close()


@pytest.fixture
def shared_cluster(request, store_of_session):
    """One store with the sample catalog for all tests that leave it as they found it, or that use
    items of their own."""
    yield store_of_session
    if getattr(request.node, "failed_in", None):
        store_of_session.dump_logs()
