"""Findings -> judged report -> the files of the run folder. The verdicts come from one function, `gate.judge`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from edgecheck import __version__, images, seal
from edgecheck import store as storage
from edgecheck.device.model import files
from edgecheck.device.runtime import environment
from edgecheck.errors import InputError, ModelError
from edgecheck.pipeline import explaining, judging
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.measuring import runtime_options
from edgecheck.pipeline.recipes import describe_recipe
from edgecheck.pipeline.remarks import remarks
from edgecheck.records import (
    SCHEMA_VERSION,
    ImageScore,
    Recommendation,
    Report,
    Subject,
    Tool,
    Variant,
    from_dict,
    to_dict,
)
from edgecheck.regular import MOST_REPORT_BYTES, require_regular
from edgecheck.report import RENDERERS, html, junit, markdown
from edgecheck.report.format import format_value
from edgecheck.report.html import Picture, class_name
from edgecheck.store import Store, digest

REPORT = "report.json"
ASSUMED = " (the default: no range, mean or std was named)"


def assemble(job: Run, findings: Sequence[Findings], warnings: Sequence[str]) -> Report:
    """Judge the findings and put everything that a report names into one record."""
    variants = [attrs.evolve(f.entry.variant, warnings=[*f.entry.variant.warnings, *f.warnings]) for f in findings]
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool("edgecheck", __version__),
        environment=attrs.evolve(
            environment.describe(runtime_options(job.plan.measure)),
            pace_hz=job.plan.measure.pace_hz,
            batch=job.plan.measure.batch,
        ),
        subject=_subject(job, findings[0]),
        variants=variants,
        readings=[r for f in findings for r in f.readings],
        similarities=[s for f in findings for s in f.similarities],
        policy=job.plan.policy,
        verdicts=[],
        statuses={},
        recommendation=Recommendation(None, ""),
        passed=False,
        evidence=job.store.evidence,
        seconds=job.store.seconds,
    )
    report = judging.judged(report, job.plan.policy)
    told = remarks(variants, report.readings, report.policy, len(job.data.classes))
    return attrs.evolve(report, warnings=[*warnings, *told])


def read(folder: Path, unverified: bool = False) -> Report:
    """Return the report of a run folder.

    Args:
        folder: the run folder.
        unverified: return a report that does not match the folder all the same; it then says what does not.

    Raises:
        InputError: no report there, or not one this version reads; the last run did not finish; or something does not
            match the digests in the report.
    """
    seal.require_finished(folder)
    data = _document(folder / REPORT)
    try:
        report = from_dict({key: value for key, value in data.items() if key != seal.SEAL}, Report)
    except InputError as error:
        raise InputError(f"{folder / REPORT}: {error}") from None
    # What was let through once stays unverified, however often it is written again.
    wrong = list(
        dict.fromkeys([*report.unverified, *seal.mismatches(data, report, folder), *_replaced(report, folder)])
    )
    if wrong and not unverified:
        raise InputError(
            f"{folder}: not what was measured: {seal.describe(wrong)}; run it again, or add --unverified to judge "
            "the numbers as they stand"
        )
    return attrs.evolve(report, schema_version=SCHEMA_VERSION, unverified=wrong)


def _document(path: Path) -> dict[str, Any]:
    require_regular(path, MOST_REPORT_BYTES)
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `edgecheck run` writes it at the end of a run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable report ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a report")
    return data


def _replaced(report: Report, folder: Path) -> Iterator[str]:
    """Yield the model files that are not what was measured; those of `check` lie outside the run folder."""
    for variant in report.variants:
        path, known = folder / variant.file, report.evidence.get(variant.file)
        if not variant.sha256 or known == variant.sha256:
            continue
        if known is None and not path.is_file():
            yield f"{variant.file} is gone"
        elif known is not None or not _same(path, variant):
            yield f"{variant.file} is not the file that was measured"


def _same(path: Path, variant: Variant) -> bool:
    try:
        return files.sha256(path) == variant.sha256
    except ModelError:  # not even an ONNX file any more
        return False


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number to judge by")


def write(report: Report, folder: Path, pictures_from: Path | None = None) -> None:
    """Write report.json, report.html, report.md and junit.xml, each whole or not at all; makes the folder."""
    Store(folder)
    shown = {variant.name: _pictures(report, variant, pictures_from or folder) for variant in report.variants}
    storage.write_text(folder / REPORT, RENDERERS["json"](report))
    storage.write_text(folder / "report.html", html.render(report, shown))
    storage.write_text(folder / "report.md", markdown.render(report))
    storage.write_text(folder / "junit.xml", junit.render(report))


def _pictures(report: Report, variant: Variant, folder: Path) -> list[Picture]:
    """Read the pictures that are still there; a report is complete without them."""
    scores = {
        explaining.picture_name(s.method, image.index): (s.method, image)
        for s in report.similarities
        if s.variant == variant.name
        for image in s.worst
    }
    found = [path for file in variant.pictures if (path := folder / file).is_file() and path.name in scores]
    return [Picture(_caption(report, *scores[path.name]), path.read_bytes()) for path in found]


def _caption(report: Report, method: str, image: ImageScore) -> str:
    label, before, after = (
        class_name(report, index) for index in (image.label, image.baseline_class, image.variant_class)
    )
    seen = f"both see {before}" if before == after else f"baseline sees {before}, variant {after}"
    return f"{method}, image {image.index}: Sp2PS {format_value(image.score, 'score')}, label {label}, {seen}"


def _dataset(job: Run) -> str:
    """Return which images these are, and which outputs of the network their classes."""
    data, chosen = job.plan.data, job.data.selection
    source = f"{data.dataset}{f' ({data.root})' if data.root else ''}, test split"
    return f"{source}; {chosen.describe()}" if chosen else source


def _subject(job: Run, baseline: Findings) -> Subject:
    plan, twin = job.plan, baseline.entry.twin
    how = to_dict(plan.preprocessing)
    return Subject(
        name=plan.name,
        model=twin.description if twin else str(baseline.entry.onnx),
        weights_sha256=str(twin.identity.get("weights") or "") if twin else baseline.entry.variant.sha256,
        dataset=_dataset(job),
        data_sha256=job.data_sha256,
        images=len(job.data),
        classes=list(job.data.classes),
        outputs=list(job.data.selection.outputs) if job.data.selection else [],
        preprocessing=images.describe(plan.preprocessing) + (ASSUMED if plan.normalisation_assumed else ""),
        preprocessing_sha256=digest(how),
        target_layer=baseline.target_layer,
        class_explained=plan.explain.class_explained,
        sam=plan.explain.sam,
        seed=plan.seed,
        finetune=describe_recipe(plan.finetune, plan.data.train_limit),
        explained_on=baseline.explained_on,
        skipped_images=job.data.skipped,
        chance=float(np.bincount(job.data.labels).max() / len(job.data)),
    )
