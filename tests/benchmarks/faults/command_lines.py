"""Command lines drawn from a grammar: right options with wrong values, wrong options, too many, too few."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click
from numpy.random import Generator

from edgecheck.cli import cli
from tests.benchmarks.faults import mutations
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.copies import copied_run
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import Outcome, generator, judge_refusal
from tests.benchmarks.faults.processes import Surroundings, Watch, console, fork

NAME = "words"

PROGRAM_EVERY = 10  # so many cases, one goes through the installed command
LIMIT_S = 60.0
# What a value may be; text that a shell would pass on as it stands.
VALUES = (
    *("", " ", "-1", "0", "1", "1e999", "nan", "inf", "-inf", "2**31", str(2**63), "0.5", "1,2,3", "32x32", ",", "x"),
    *(
        "a\nb",
        "\x1b[31mred\x1b[0m",
        "\x7f",
        "é",
        "\udcff",
        "--",
        "-",
        "--help",
        "a" * 5000,
        "/dev/null",
        "/proc/self/mem",
    ),
    *("accuracy >= 0.9", "accuracy >=", ">= 1", "sp2ps.grad-cam >= control", "size.bytes <= 1 parsec", "json", "all"),
    *("../..", "~", "$HOME", "%s", "{0}", "[bold]", "nowhere.onnx", "l1,,l1", "l1", "filters", "2:4", "4:2", "int8"),
)
# Some values are right, and would keep a command at work for as long as they say.
QUICK = {"time_budget": ("0", "0.01", "-1", "nan", "inf", "x", ""), "pace": ("1000", "0", "-5", "inf", "1e9", "p")}
# Commands that measure for as long as they are told; these keep the drawn lines short.
DEAR = {"bench": ("--time-budget", "0.05"), "check": ("--time-budget", "0")}
# The demo trains for minutes where it is not refused.
LEFT_OUT = frozenset({"demo"})


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Draw a command line and run it."""
    random = generator(NAME, number)
    copied_run(material.run, folder / "run")
    words = _drawn(random, material, folder)
    start = console if number % PROGRAM_EVERY == PROGRAM_EVERY - 1 else fork
    ended = start(words, Surroundings(folder, Watch(LIMIT_S)))
    verdict, detail = judge_refusal(ended)
    name = shlex.join(words).encode("ascii", "backslashreplace").decode()[:200]
    return Outcome(NAME, number, name.replace(str(material.folder), "MATERIAL"), verdict, detail, ended.seconds)


def _drawn(random: Generator, material: Material, folder: Path) -> list[str]:
    names = [name for name in cli.commands if name not in LEFT_OUT]
    name = mutations.pick(random, names)
    command = cli.commands[name]
    words = [name, *DEAR.get(name, ()), *_arguments(random, command, material, folder)]
    options = [option for option in command.params if isinstance(option, click.Option)]
    for option in options:
        if option.required or random.random() < 0.3:
            words += _option(random, option, material)
    if any(option.name == "out" for option in options) and "--out" not in words:
        words += ["--out", str(folder / ("out.onnx" if name == "export" else "out"))]
    return _disturbed(random, words)


def _arguments(random: Generator, command: click.Command, material: Material, folder: Path) -> list[str]:
    arguments = [argument for argument in command.params if isinstance(argument, click.Argument)]
    # A train or a sweep that is accepted takes its time: the configuration for them is not there.
    absent = str(folder / "no.yaml")
    right = {
        "run": str(folder / "run"),
        "file": str(material.board / "a.onnx"),
        "files": str(material.board / "b.onnx"),
    }
    wrong = [*mutations.HOSTILE_TEXTS[:6], "nowhere", str(folder), absent]
    drawn = [
        right.get(str(a.name), absent) if random.random() < 0.7 else mutations.pick(random, wrong) for a in arguments
    ]
    return [word.replace("\x00", "0").replace("\ud800", "\udcff") for word in drawn]


def _option(random: Generator, option: click.Option, material: Material) -> list[str]:
    flag = mutations.pick(random, option.opts)
    if option.is_flag:
        return [flag]
    likely = {
        "baseline": str(material.board / "a.onnx"),
        "candidate": str(material.board / "b.onnx"),
        "source": str(material.board / "data.npz"),
    }
    if str(option.name) in likely and random.random() < 0.8:
        return [flag, likely[str(option.name)]]
    if isinstance(option.type, click.Choice) and random.random() < 0.5:
        return [flag, str(mutations.pick(random, option.type.choices))]
    return [flag, mutations.pick(random, QUICK.get(str(option.name), VALUES))]


def _disturbed(random: Generator, words: Sequence[str]) -> list[str]:
    """Drop, repeat, swap or misspell a word now and then."""
    changed = list(words)
    place = int(random.integers(len(changed)))
    way = mutations.pick(random, ("as it is", "as it is", "drop", "repeat", "swap", "misspell", "join", "debug last"))
    if way == "drop":
        del changed[place]
    elif way == "repeat":
        changed.insert(place, changed[place])
    elif way == "swap":
        other = int(random.integers(len(changed)))
        changed[place], changed[other] = changed[other], changed[place]
    elif way == "misspell":
        changed[place] = changed[place][:-1] + "q"
    elif way == "join" and place + 1 < len(changed):
        changed[place : place + 2] = [f"{changed[place]}={changed[place + 1]}"]
    elif way == "debug last":
        changed.append("--version")
    return changed


KIND = Kind(NAME, 170, (0, 1, 2, 3, 4, 5, 9), attempt)
