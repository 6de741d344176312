"""The README's tour, taken out of the README and executed.

In a `console` block a line that begins with "$ " is a command and what follows is its output, in
which "..." stands for anything. All commands run in one shell, in order.

The README speaks of the default place and the default port; here it is a store of the test's own,
unless PYGMY_README_LIVE is set: then it is the one that `make run` has started.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import subprocess

import pytest
from cluster import ROOT, program

MARK = "--- end of command"


def tour():
    """The commands with the outputs that the README promises."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
    return steps


def run(commands, env):
    """The output of each command, errors included, of one shell that runs them all."""
    script = "".join(f"{command}\necho '{MARK}'\n" for command in commands)
    done = subprocess.run(["bash"], input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd=ROOT, env=env)
    outputs = done.stdout.split(MARK + "\n")
    assert len(outputs) == len(commands) + 1 and outputs[-1] == "", done.stdout
    return outputs[:-1]


def pattern(lines):
    """What the promised lines match: "..." is anything, also several lines when it is alone."""
    parts = ["(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
             for line in lines]
    return "".join(parts)


@pytest.fixture(name="place")
def place_fixture(request):
    """Environment, and a function that puts the place of the store into a command."""
    if os.environ.get("PYGMY_README_LIVE"):
        return dict(os.environ), lambda command: command
    shop = request.getfixturevalue("make_cluster")("--sample", small=False)

    def adapt(command):
        command = command.replace("127.0.0.1:8080", f"127.0.0.1:{shop.port_base}")
        command = command.replace("build/pygmy", program("pygmy"))
        return re.sub(r"scripts/cluster (\w+ [\w$-]+)",
                      rf"scripts/cluster \1 --dir {shop.dir} --port-base {shop.port_base}", command)

    return dict(shop.env, PYGMY_CONFIG=shop.config), adapt


def test_the_tour_gives_what_the_readme_says(place):
    """Every command of the README, one after the other."""
    env, adapt = place
    steps = tour()
    assert len(steps) >= 10
    outputs = run([adapt(command) for command, _ in steps], env)
    for (command, promised), output in zip(steps, outputs):
        assert re.fullmatch(pattern(promised), output), f"$ {command}\n{output}\nnot\n{promised}"
