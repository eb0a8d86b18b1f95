"""Mutated report.json files, judged and rendered again."""

from __future__ import annotations

import json
import re
from pathlib import Path

from numpy.random import Generator

from tests.benchmarks.faults import mutations
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.copies import copied_run
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import Outcome, generator, judge_refusal
from tests.benchmarks.faults.processes import Surroundings, fork

NAME = "reports"

FORMATS = ("terminal", "json", "markdown", "junit")
# What JSON's grammar allows and Python's writer never makes, in place of a number.
RAW_NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", '"inf"', "1E+400", "0x10", "1_000", "01", "+1", ".5", "9" * 5000)
BYTES_SHARE, RAW_SHARE = 0.2, 0.2


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Damage the report of a run folder, and judge or render it."""
    random = generator(NAME, number)
    run = copied_run(material.run, folder / "run")
    report = run / "report.json"
    name, content = _mutated(random, report.read_text())
    report.write_bytes(content)
    command = [*_command(random, run, folder / "again"), "--format", mutations.pick(random, FORMATS)]
    ended = fork(command, Surroundings(folder))
    verdict, detail = judge_refusal(ended)
    words = " ".join(word for word in command if isinstance(word, str))
    return Outcome(NAME, number, f"{name} ({words})", verdict, detail, ended.seconds)


def _command(random: Generator, run: Path, again: Path) -> list[str | Path]:
    # Half of them unverified: else the digests refuse nearly all before the judge and the renderers see them.
    unverified = ["--unverified"] if random.random() < 0.5 else []
    if random.random() < 0.5:
        return ["gate", run, *unverified]
    return ["report", run, *unverified, "--out", again]


def _mutated(random: Generator, text: str) -> tuple[str, bytes]:
    way = random.random()
    if way < BYTES_SHARE:
        return mutations.damaged(random, text.encode())
    if way < BYTES_SHARE + RAW_SHARE:
        numbers = list(re.finditer(r"(?<=[:\[,] )-?\d+(\.\d+)?(e-?\d+)?", text))
        chosen, raw = mutations.pick(random, numbers), mutations.pick(random, RAW_NUMBERS)
        return f"number {raw[:12]}", (text[: chosen.start()] + raw + text[chosen.end() :]).encode()
    document = json.loads(text)
    done = [mutations.operated_on(random, document) for _ in range(int(random.integers(1, 4)))]
    return "; ".join(done), json.dumps(document, indent=2).encode("utf-8", "surrogatepass")


KIND = Kind(NAME, 320, (0, 1, 2, 3, 4, 5, 6, 7), attempt)
