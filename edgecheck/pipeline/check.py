"""Compare existing ONNX files with a baseline, and gate them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from edgecheck.artefact import Artefact
from edgecheck.config.plan import ModelSpec, Plan
from edgecheck.config.reader import FACTORY_FORMS
from edgecheck.device.model import files
from edgecheck.errors import ModelError, UsageError
from edgecheck.pipeline import anchoring, assembling, beginning, preflight, reporting, timing, twins
from edgecheck.pipeline.entry import Entry, Findings, Run, Twin
from edgecheck.pipeline.examining import examine
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.fingerprints import identity
from edgecheck.pipeline.schedule import Line, Schedule, Started
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import Network, build_module
from edgecheck.pipeline.work import Executor
from edgecheck.progress import Progress
from edgecheck.records import Diagnostic, Report, Role, Variant
from edgecheck.regular import MOST_WEIGHT_BYTES, require_regular


@frozen
class Given:
    """An existing ONNX file, and its twin if there is one.

    `twin` is a factory, with `weights` and `arguments`, or the folder of a variant of a run. `name` is the name of the
    variant in the report and the prefix of its command-line options.
    """

    name: str
    role: Role
    file: Path
    twin: str | None = None
    weights: str | None = None
    arguments: dict[str, Any] | None = None


def check(
    plan: Plan,
    given: Sequence[Given],
    store: Store,
    progress: Progress,
    executor: Executor | None = None,
    command: Sequence[str] | None = None,
) -> Report:
    """Compare ONNX files made elsewhere, with the heatmaps of their twins where all have one, else with their own.

    Args:
        plan: data, preprocessing and gate.
        given: the baseline, then the candidates.
        store: the run folder.
        progress: receives the progress of every stage.
        executor: computes the stages; by default serially in this process.
        command: the command line, for the report.

    Raises:
        EdgecheckError: what the user can mend (exit 2) or what could not be measured (exit 3).
    """
    entries = [entry_of(plan, store, one) for one in given]
    preflight.images_there(plan)
    with executor or Serial(progress) as place:
        schedule = Schedule(store, place)
        run = beginning.read(plan, store, schedule)
        twins_given = [entry.twin for entry in entries if entry.twin is not None]
        schedule.finish(schedule.start(beginning.fits(run, store, twin) for twin in twins_given))
        (baseline,) = schedule.start([examine(run, entries[0])])
        others = schedule.start(_candidate(run, entry, baseline) for entry in entries[1:])
        started = schedule.start([anchoring.anchored(run, baseline)])
        findings = schedule.finish([baseline, *others])
        (anchors,) = schedule.finish(started)
        timed = timing.time_all(run, schedule, findings)
    report = assembling.assemble(run, store, timed, anchors, command)
    reporting.write(report, store.folder)
    return report


def _candidate(run: Run, entry: Entry, baseline: Started[Findings]) -> Line[Findings]:
    return (yield from examine(run, entry, (yield baseline)))


def entry_of(plan: Plan, store: Store, given: Given) -> Entry:
    """Return an existing ONNX file as an entry of a run.

    Raises:
        ModelError: the file does not exist, or the folder has no loadable twin.
        UsageError: weights or arguments without a factory, or an invalid form of twin.
    """
    place = os.path.relpath(given.file.resolve(), store.folder.resolve())
    record = Variant(given.name, given.role, file=place, twin=given.twin)
    twin, warnings = _twin(plan, store, given)
    preflight.onnx_file(given.file)
    file = Artefact(files.sha256(given.file), given.file)
    return Entry(attrs.evolve(record, warnings=warnings), file, twin)


def _twin(plan: Plan, store: Store, given: Given) -> tuple[Twin | None, list[Diagnostic]]:
    option = f"--{given.name}"
    extra = [f"{option}-weights"] * (given.weights is not None)
    extra += [f"{option}-twin-arguments"] * (given.arguments is not None)
    if given.twin is None:
        if extra:
            raise UsageError(f"{extra[0]} without {option}-twin: name the module that it belongs to")
        return None, []
    if Path(given.twin).is_dir():
        if extra:
            raise UsageError(
                f"{option}-twin {given.twin}: the twin of a run includes these; remove {' and '.join(extra)}"
            )
        return twins.twin_in(Path(given.twin), store, given.name)
    if ":" not in given.twin:
        raise UsageError(f"{option}-twin {given.twin}: not the folder of a variant; for a factory, {FACTORY_FORMS}")
    if given.weights is not None:
        require_regular(Path(given.weights), MOST_WEIGHT_BYTES, ModelError)
    spec = ModelSpec(given.twin, Path(given.weights) if given.weights else None, given.arguments or {})
    known = identity(spec, store, given.name, lambda: build_module(spec, plan.seed))
    return Twin(Network(known, plan.seed, spec), given.twin, given.name), []
