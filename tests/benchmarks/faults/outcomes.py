"""What came of a case, and how the words and exit code of a command are told apart."""

from __future__ import annotations

import re

import numpy as np
from attrs import frozen

from tests.benchmarks.faults.processes import Ended

SEED = 20231
SHOWN = 300  # characters of a detail

# Verdicts of a malformed input. The first two are as they should be.
ACCEPTED, ONE_LINE = "accepted", "one_line"
TRACEBACK, INTERNAL, HANG, MEMORY, CRASH, UNTIDY = (
    "traceback",
    "internal_error",
    "hang",
    "over_memory",
    "crash",
    "untidy",
)
# Verdicts of tampering, staleness and surroundings.
HELD, FALSE_PASS, OTHERWISE, SKIPPED = "held", "false_pass", "otherwise", "skipped"
# Verdicts of a killed and resumed run.
SAME, DIFFERENT = "same", "different"
GOOD = frozenset({ACCEPTED, ONE_LINE, HELD, SKIPPED, SAME})

# Whatever a terminal would act upon, beyond the line ends that we write ourselves.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@frozen
class Outcome:
    """What came of one case: its kind and number say how to run it again, its name what was done."""

    kind: str
    number: int
    name: str
    verdict: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict in GOOD


def generator(kind: str, number: int) -> np.random.Generator:
    """Return the random numbers of one case: the same on every machine, whatever other cases are run."""
    return np.random.default_rng([SEED, number, *kind.encode()])


def judge_refusal(ended: Ended) -> tuple[str, str]:
    """Judge what a command made of a malformed input: accepted it, refused it in one line, or worse."""
    verdict = _broken(ended) or (ACCEPTED if ended.code in (0, 1) else _refusal(ended))
    return verdict, "" if verdict == ACCEPTED else shown(ended)


def _broken(ended: Ended) -> str:
    if ended.stopped in ("hang", "memory"):
        return HANG if ended.stopped == "hang" else MEMORY
    if "Traceback (most recent call last)" in ended.err:
        return TRACEBACK
    if "internal error" in ended.err:
        return INTERNAL
    if ended.code < 0:
        return CRASH
    return UNTIDY if _CONTROL.search(ended.err) or _CONTROL.search(ended.out) else ""


def _refusal(ended: Ended) -> str:
    lines = ended.err.splitlines()
    tidy = ended.code in (2, 3) and not ended.out and len(lines) == 1 and lines[0].startswith("edgecheck: ")
    return ONE_LINE if tidy else UNTIDY


def refused(ended: Ended) -> bool:
    """Return whether a command refused its input with exit code 2 and a line of its own."""
    said = [line for line in ended.err.splitlines() if line.startswith("edgecheck: ")]
    return ended.code == 2 and len(said) == 1 and not _broken(ended)


def shown(ended: Ended) -> str:
    """Return how a command ended, short enough for a list."""
    words = " ".join((ended.err or ended.out).split())
    return f"exit {ended.code}{f', {ended.stopped}' if ended.stopped else ''}: {words[-SHOWN:]!r}"


def expect_refusal(ended: Ended) -> tuple[str, str]:
    """Judge a command that must refuse with exit code 2 and a line."""
    if refused(ended):
        return HELD, ""
    return FALSE_PASS if ended.code == 0 else OTHERWISE, shown(ended)


def expect_exit(ended: Ended, *codes: int) -> tuple[str, str]:
    """Judge a command that must end with one of these exit codes."""
    return (HELD, "") if ended.code in codes else (OTHERWISE, shown(ended))


def expect_no_pass(ended: Ended) -> tuple[str, str]:
    """Judge a command that must not pass: it says why not by a verdict, or refuses."""
    if ended.code == 0:
        return FALSE_PASS, shown(ended)
    told = ended.code == 1 or refused(ended) or (ended.code == 3 and "edgecheck: " in ended.err)
    return (HELD, "") if told else (OTHERWISE, shown(ended))
