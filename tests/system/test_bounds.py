"""tests/bounds.txt names each bound of the store, and what it names exists.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re

from cluster import ROOT

TESTS = os.path.join(ROOT, "tests")


def read(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return file.read()


def rows():
    """Name and the rest of each row."""
    for line in read(TESTS, "bounds.txt").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split(maxsplit=1)


def test_every_bound_has_a_row():
    bounds = set(re.findall(r"^#define ([A-Z]\w+)[ \t]+\S", read(ROOT, "broker/bus/limits.h"),
                            re.MULTILINE))
    named = [name for name, _ in rows()]
    assert sorted(set(named)) == sorted(named), "twice"
    assert set(named) - bounds == set(), "no longer there"
    assert bounds - set(named) == set(), "no test is named"


def test_every_row_names_tests_that_exist():
    missing = []
    for name, rest in rows():
        if rest.startswith("- "):
            continue
        for place in rest.split()[0].split(","):
            path, _, function = place.partition("::")
            text = read(TESTS, path)
            if function == "*" and re.search(rf"\b{name}\b", text) is None:
                missing.append((name, place))
            if function != "*" and re.search(rf"\b{function}\(", text) is None:
                missing.append((name, place))
    assert missing == []
