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
from typing import Any

import attrs
from attrs import frozen

from tests.benchmarks.faults import (
    command_lines,
    disks,
    endings,
    environment,
    evidence,
    failed_runs,
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
from tests.benchmarks.faults.cases import Kind
from tests.benchmarks.faults.material import Material
from tests.benchmarks.faults.outcomes import (
    ACCEPTED,
    CRASH,
    FALSE_PASS,
    HANG,
    HELD,
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


_MALFORMED = (onnx_files, npz_files, yaml_files, reports, pictures, command_lines)
_INTEGRITY = (tampering, failed_runs, staleness, evidence, meaning, endings, environment, disks)
MALFORMED: tuple[str, ...] = tuple(module.KIND.name for module in _MALFORMED)
INTEGRITY: tuple[str, ...] = tuple(module.KIND.name for module in _INTEGRITY)
KINDS: dict[str, Kind] = {module.KIND.name: module.KIND for module in (kills, *_MALFORMED, *_INTEGRITY)}


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
    if kills.NAME in numbers:
        kills.prepare(material, numbers[kills.NAME])


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Return the counts that the campaign is judged by, and every case that is not as it should be."""
    killed, malformed, integrity = (_of(outcomes, kinds) for kinds in ((kills.NAME,), MALFORMED, INTEGRITY))
    refusals = (ONE_LINE, TRACEBACK, INTERNAL, HANG, MEMORY, ACCEPTED, CRASH, UNTIDY)
    return {
        "kills": {"trials": len(killed), **_counted(killed, (SAME,))},
        "malformed": {"cases": len(malformed), **_counted(malformed, refusals)},
        "integrity": {"cases": len(integrity), **_counted(integrity, (FALSE_PASS, HELD, OTHERWISE, SKIPPED))},
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


def _of(outcomes: Sequence[Outcome], kinds: Sequence[str]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.kind in kinds]


def _counted(outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> dict[str, int]:
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {verdict: counts[verdict] for verdict in verdicts}
