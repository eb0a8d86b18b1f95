"""The kinds of cases, and how they are shared out among processes and counted."""

from __future__ import annotations

import multiprocessing
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

import attrs
from attrs import frozen

from tests.benchmarks.faults import (
    command_lines,
    environment,
    kills,
    meaning,
    npz_files,
    onnx_files,
    pictures,
    processes,
    reports,
    staleness,
    tampering,
    yaml_files,
)
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import (
    CRASH,
    FALSE_PASS,
    HANG,
    INTERNAL,
    MEMORY,
    ONE_LINE,
    OTHERWISE,
    SAME,
    SKIPPED,
    TRACEBACK,
    UNTIDY,
    Outcome,
)

WORKERS = 2


class Kind(Protocol):
    """A module of cases: how many, which of them the tests run, and one case by its number."""

    KIND: str
    CASES: int
    SHORT: Sequence[int]

    def attempt(self, number: int, material: Material, folder: Path) -> Outcome:
        """Carry out one case in a folder of its own."""


MALFORMED: tuple[Any, ...] = (onnx_files, npz_files, yaml_files, reports, pictures, command_lines)
INTEGRITY: tuple[Any, ...] = (tampering, staleness, meaning)
KINDS: dict[str, Any] = {module.KIND: module for module in (kills, *MALFORMED, *INTEGRITY, environment)}


@frozen
class Job:
    """One case to carry out."""

    kind: str
    number: int
    material: Material
    scratch: Path


def jobs(numbers: Mapping[str, Sequence[int]], material: Material, scratch: Path) -> list[Job]:
    """Return the cases of each kind by number, the long ones first so that no process is left alone with them."""
    return [Job(kind, number, material, scratch) for kind in numbers for number in numbers[kind]]


def carry_out(chosen: Sequence[Job], workers: int = WORKERS) -> Iterator[Outcome]:
    """Carry out cases in so many processes, each of which is warm and forks a command at a time."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for done in as_completed([pool.submit(carry_out_one, job) for job in chosen]):
            yield done.result()


def carry_out_one(job: Job) -> Outcome:
    """Carry out one case; a slip of the campaign itself is told as one."""
    folder = job.scratch / f"{job.kind}-{job.number}"
    words = folder.with_name(f"{folder.name}.words")
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        found = KINDS[job.kind].attempt(job.number, job.material, folder)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        found = Outcome(job.kind, job.number, "the campaign itself failed", "campaign_error", reason)
    finally:
        for left in (folder, words):
            shutil.rmtree(left, ignore_errors=True)
    return attrs.evolve(found, seconds=time.monotonic() - began)


def prepare(numbers: Mapping[str, Sequence[int]], material: Material) -> None:
    """Make what the cases start from."""
    processes.warm_up()
    material.make()
    if kills.KIND in numbers:
        kills.prepare(material, numbers[kills.KIND])


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Return the counts that the campaign is judged by, and every case that is not as it should be."""
    killed = _of(outcomes, [kills])
    malformed, integrity, around = _of(outcomes, MALFORMED), _of(outcomes, INTEGRITY), _of(outcomes, [environment])
    names = (ONE_LINE, TRACEBACK, INTERNAL, HANG, MEMORY, "accepted", CRASH, UNTIDY)
    return {
        "kills": {"trials": len(killed), **_counted(killed, (SAME,))},
        "malformed": {"cases": len(malformed), **_counted(malformed, names)},
        "integrity": {"cases": len(integrity), **_counted(integrity, (FALSE_PASS, "held", OTHERWISE, SKIPPED))},
        "environment": {"cases": len(around), **_counted(around, (FALSE_PASS, "held", OTHERWISE, SKIPPED))},
        "campaign_errors": sum(outcome.verdict == "campaign_error" for outcome in outcomes),
        "kinds": {
            kind: {
                "cases": sum(o.kind == kind for o in outcomes),
                "seconds": round(sum(o.seconds for o in outcomes if o.kind == kind), 1),
                **Counter(o.verdict for o in outcomes if o.kind == kind),
            }
            for kind in KINDS
        },
        "not_as_it_should_be": [attrs.asdict(o) for o in outcomes if not o.good],
        "skipped": [attrs.asdict(o) for o in outcomes if o.verdict == SKIPPED],
        "seconds": round(seconds, 1),
    }


def _of(outcomes: Sequence[Outcome], modules: Sequence[Any]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.kind in {module.KIND for module in modules}]


def _counted(outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> dict[str, int]:
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {verdict: counts[verdict] for verdict in verdicts}
