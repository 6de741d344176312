"""The man pages name the options and settings that the programs have, and no others.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import shutil
import subprocess

import pytest
from cluster import ROOT, program

DAEMONS = ["pygmy-broker", "pygmy-catalog", "pygmy-order", "pygmy-http"]
PAGES = [f"{daemon}.8" for daemon in DAEMONS] + ["pygmy.1", "pygmy-cluster.conf.5"]


def page(name):
    with open(os.path.join(ROOT, "docs", "man", name), encoding="utf-8") as file:
        return file.read()


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


def helped(text):
    """The names of the options that a help lists."""
    return re.findall(r"^  --([a-z-]+)", text, re.M)


def described(text):
    """The names of the options that a page, or a part of one, describes."""
    return re.findall(r"^\.It Fl -([a-z-]+)", text, re.M)


def parts(text, macro):
    """The parts of a page by the first word of their heading: .Sh or .Ss."""
    pieces = re.split(rf"^\.{macro} (\S+).*\n", text, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2]))


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemons_page_has_its_options(daemon):
    assert described(page(f"{daemon}.8")) == helped(output(program(daemon), "--help"))


def test_the_page_of_pygmy_has_its_verbs_with_their_options():
    text = output(program("pygmy"), "help")
    verbs = re.findall(r"^  ([a-z]+) ", text.partition("\nVerbs ")[2].partition("\n\n")[0], re.M)
    sections = parts(page("pygmy.1"), "Sh")
    written = parts(sections["VERBS"], "Ss")
    assert list(written) == verbs and len(verbs) > 10
    for verb in verbs:
        own = output(program("pygmy"), "help", verb).partition("\nOptions of every verb")[0]
        assert described(written[verb]) == helped(own), verb
    assert described(sections["OPTIONS"]) == helped(text)


def test_the_page_of_the_configuration_has_its_settings(cluster):
    text = output(program("pygmy-broker"), "--config", cluster.config, "--print-config")
    has, section = {}, None
    for line in text.splitlines()[1:]:
        key = re.match(r"\s+(?:# )?(\w+) = ", line)
        if key is None:
            section = line if line[0] != " " else section
        else:
            has.setdefault(section, []).append(key[1])
    sections = parts(page("pygmy-cluster.conf.5"), "Sh")
    for heading, body in parts(sections["SETTINGS"].replace("catalogs, orders", "catalogs"),
                               "Ss").items():
        keys = re.findall(r"\w+", " ".join(re.findall(r"^\.It Cm (.*)", body, re.M)))
        assert keys == has.pop(heading), heading
    assert list(has) == ["orders"]  # it stands with the catalogs


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not there")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(name):
    path = os.path.join(ROOT, "docs", "man", name)
    done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", path], capture_output=True,
                          text=True, timeout=10)
    assert done.returncode == 0 and done.stderr == ""
