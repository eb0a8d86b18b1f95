"""The whole job: prune, fine-tune, export, measure, compare heatmaps, gate, report.

Every stage is kept in the run folder and reused while its inputs are the same.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from edgecheck.config.plan import ModelSpec, Plan, VariantSpec
from edgecheck.config.reader import FACTORY_FORMS
from edgecheck.errors import MeasurementError, ModelError, UsageError
from edgecheck.metrics import METRICS
from edgecheck.pipeline import (
    comparing,
    explaining,
    judging,
    making,
    measuring,
    preflight,
    quantizing,
    reporting,
    suspecting,
    twins,
)
from edgecheck.pipeline.entry import Entry, Findings, Run, Twin
from edgecheck.pipeline.fingerprints import identity
from edgecheck.progress import Progress
from edgecheck.records import Reading, Report, Role, Similarity, Variant, reading
from edgecheck.regular import MOST_WEIGHT_BYTES, require_regular
from edgecheck.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def run(plan: Plan, store: Store, progress: Progress) -> Report:
    """Carry out a plan: make every variant from the baseline, examine it, judge all, write the reports.

    Raises:
        EdgecheckError: what the user can mend (exit 2) or what could not be measured at all (exit 3).
            A variant that alone cannot be made or measured is reported as MISSING instead.
    """
    job, base = preflight.begin(plan, store, progress)
    findings = {base.name: _examine(job, base)}
    for spec in [*making.controls(plan), *plan.variants]:
        found = _try_variant(job, spec, findings)
        kept = findings.setdefault(found.entry.name, found)
        if kept.entry.name != spec.name:
            kept.warnings.append(f"{spec.name} comes out the same, and was not made twice")
    return _conclude(job, list(findings.values()))


def check(plan: Plan, baseline: Entry, candidate: Entry, store: Store, progress: Progress) -> Report:
    """Compare two ONNX files made elsewhere, with the heatmaps of their twins where there are any.

    A default gate asks for heatmaps only where there is a twin; the report says so.
    """
    plan, told = judging.without_twins(plan, baseline, candidate)
    preflight.images_there(plan)
    for entry in (baseline, candidate):
        preflight.onnx_file(entry.file)
    job = Run(plan, store, progress, *making.data(plan, store, progress))
    for entry in (baseline, candidate):
        if entry.twin is not None:
            preflight.fits(job, entry.twin)
    first = _examine(job, baseline)
    return _conclude(job, [first, _examine(job, candidate, first)], told)


def entry_of(
    plan: Plan,
    store: Store,
    role: Role,
    file: Path,
    twin: str | None,
    weights: str | None,
    arguments: dict[str, Any] | None = None,
) -> Entry:
    """Return an ONNX file made elsewhere as an entry of a run, with its twin where one is named.

    A twin is named by its factory, with weights and arguments, or by the folder of a variant of a run.

    Raises:
        ModelError: a folder without a twin that could be loaded.
        UsageError: weights or arguments without a twin or beside a folder, or a twin of no known form.
    """
    place = os.path.relpath(file.resolve(), store.folder.resolve())
    given = [f"--{role}-weights"] * (weights is not None) + [f"--{role}-twin-arguments"] * (arguments is not None)
    if twin is None:
        if given:
            raise UsageError(f"{given[0]} without --{role}-twin: name the module that they fit")
        return Entry(Variant(role, role, file=place), file, None)
    if Path(twin).is_dir():
        if given:
            raise UsageError(f"--{role}-twin {twin}: the twin of a run has its own; leave out {' and '.join(given)}")
        saved, notes = twins.twin_in(Path(twin), store, role)
        return Entry(Variant(role, role, file=place, twin=twin, warnings=notes), file, saved)
    if ":" not in twin:
        raise UsageError(f"--{role}-twin {twin}: no such folder of a variant; else {FACTORY_FORMS}")
    if weights is not None:
        require_regular(Path(weights), MOST_WEIGHT_BYTES, ModelError)
    spec = ModelSpec(twin, Path(weights) if weights else None, arguments or {})
    build = functools.cache(lambda: making.build_twin(spec, plan.seed))
    made_of = {**identity(spec, store, role, build), "seed": plan.seed}
    return Entry(Variant(role, role, file=place, twin=twin), file, Twin(build, made_of, twin, role))


def _try_variant(job: Run, spec: VariantSpec, known: Mapping[str, Findings]) -> Findings:
    """Make and examine a variant; one that fails leaves its criteria MISSING, with the reason, and the others go on.

    What comes out the same as an earlier one is returned under that one's name, and not examined again.
    """
    baseline = known["baseline"]
    try:
        entry = quantizing.variant(job, spec, baseline.entry)
        return Findings(entry) if entry.name in known else _examine(job, entry, baseline)
    except (MeasurementError, ModelError) as error:
        job.progress.note(f"{spec.name}: {error}")
        entry = Entry(making.record_of(job.plan, spec), None, None)
        missing = [reading(spec.name, metric, None, note=str(error)) for metric in METRICS]
        return Findings(entry, missing, warnings=[str(error)])


def _examine(job: Run, entry: Entry, baseline: Findings | None = None) -> Findings:
    """Measure one model alone and beside the baseline; latency comes at the end, for all files together."""
    logits = measuring.predict(job, entry)
    readings, warnings, record = measuring.count(job, entry)
    warnings = [*warnings, *measuring.saturated_sums(job, entry, logits)]
    warnings += [] if baseline else [*comparing.unmatched(job, logits), *suspecting.better_fed(job, entry, logits)]
    readings += comparing.predictions(job, entry.name, logits, baseline)
    explained, similarities, seen = _see(job, entry, logits, baseline)
    if entry.source is not None:
        # What its float source shows is no reading of this file: it stands in the notes.
        floats = measuring.predict(job, entry.source)
        readings += comparing.quantization(entry.name, logits, floats)
        seen = comparing.of_the_source(job, entry, entry.source, _seen_of_source(job, entry.source, floats, baseline))
    pictures = explaining.pictures(job, entry, similarities, explained, baseline)
    record = attrs.evolve(record, pictures=pictures, class_accuracy=comparing.class_accuracy(job, logits))
    return Findings(
        entry=attrs.evolve(entry, variant=record),
        readings=[*readings, *seen],
        similarities=similarities,
        logits=logits,
        cams=explained.cams,
        target_layer=explained.target_layer,
        explained_on=explained.device,
        warnings=[*warnings, *explained.warnings],
    )


def _see(
    job: Run, entry: Entry, logits: NDArray[np.float32], baseline: Findings | None
) -> tuple[explaining.Explained, list[Similarity], list[Reading]]:
    """Explain the twin of a file, tie it to the file by parity, and compare its heatmaps with the baseline's."""
    explained = explaining.explain(job, entry, baseline)
    similarities = explaining.similarities(job, entry, explained, baseline)
    readings = comparing.twin_parity(entry.name, logits, explained.cams)
    if baseline is not None:
        readings += comparing.explanation(job, entry.name, similarities)
    return explained, similarities, readings


def _seen_of_source(job: Run, source: Entry, floats: NDArray[np.float32], baseline: Findings | None) -> list[Reading]:
    """Return what the twin of a float file shows; of the baseline itself there is nothing to compare."""
    itself = baseline is None or source.name == baseline.entry.name
    *_, readings = _see(job, source, floats, None if itself else baseline)
    parameters = source.twin.parameters if source.twin else None
    return [*readings, reading(source.name, "params", parameters)]


def _conclude(job: Run, findings: list[Findings], told: Sequence[str] = ()) -> Report:
    """Time all files interleaved, judge, and write the reports; `told` is what they say beside."""
    timed, warnings = measuring.with_latency(job, findings)
    report = reporting.assemble(job, timed, [*told, *warnings])
    reporting.write(report, job.store.folder)
    return report
