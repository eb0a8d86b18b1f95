"""Measures a bundle on this device: each file as `check` does, and its answers beside those of the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from attrs import frozen

from edgecheck.artefact import Artefact
from edgecheck.config import reader
from edgecheck.config.plan import Plan
from edgecheck.device.bundle import expected
from edgecheck.device.bundle.manifest import DATA, LOGITS, answers_digest
from edgecheck.device.bundle.result import Result
from edgecheck.device.bundle.unpack import Bundle
from edgecheck.device.diagnostics import throttling
from edgecheck.errors import DataError
from edgecheck.gate.chance import on_labels
from edgecheck.gate.preconditions import from_heatmaps, needs_twin
from edgecheck.pipeline import anchoring, beginning, board, device_result, timing
from edgecheck.pipeline.entry import Entry, Findings, Run
from edgecheck.pipeline.examining import examine
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.failures import FAILURES, failed, measurable
from edgecheck.pipeline.schedule import Line, Schedule, Started
from edgecheck.pipeline.store import Store
from edgecheck.progress import Progress
from edgecheck.records import (
    HOST,
    Diagnostic,
    Policy,
    Reading,
    Variant,
    reading,
)
from edgecheck.score.parity import parity
from edgecheck.steps import QuantizeStep

NO_BASELINE = "the baseline could not be measured on this device"
NO_IMAGES = "the bundle holds no real images (bundle --no-images)"


@frozen
class Here:
    """What this device is called, and how it runs the files; None where the bundle decides."""

    name: str
    provider: str | None = None
    threads: int | None = None


def measure(
    bundle: Bundle, here: Here, store: Store, progress: Progress, command: Sequence[str] | None = None
) -> Result:
    """Measure all files of a bundle.

    Args:
        bundle: unpacked.
        here: the device.
        store: keeps finished stages, so that an interrupted measurement resumes.
        progress: receives the progress of every stage.
        command: the command line, for the result.

    Raises:
        EdgecheckError: the bundle does not fit together (exit 2), or nothing could be measured (exit 3).
    """
    manifest = bundle.manifest
    plan = _plan(bundle, here)
    with Serial(progress) as place:
        schedule = Schedule(store, place)
        run = beginning.read(plan, store, schedule)
        if run.data_sha256 != manifest.packed_sha256:
            raise DataError(f"{bundle.folder / DATA}: not the images that the bundle names; pack it again")
        entries = _entries(bundle)
        (baseline,) = schedule.start([_baseline(run, entries[0], progress)])
        others = schedule.start(_variant(run, entry, baseline, progress) for entry in entries[1:])
        started = schedule.start([anchoring.anchored(run, baseline, copies=False)])
        findings = schedule.finish([baseline, *others])
        (anchors,) = schedule.finish(started)
        timed = timing.time_all(run, schedule, findings)
        boards = schedule.finish(schedule.start(board.examine(run, each) for each in timed.findings))
    answered = [_completed(_beside_host(bundle, each.findings), timed.findings[0]) for each in boards]
    how = attrs.evolve(
        device_result.described(bundle, run, store, command),
        conditions=timed.conditions,
        placements={each.findings.name: each.placement for each in boards if each.placement},
        energies={each.findings.name: each.energy for each in boards if each.energy},
    )
    return device_result.result(bundle, here.name, run, answered, _warnings(timed), how, anchors)


def _plan(bundle: Bundle, here: Here) -> Plan:
    """Return the plan that a bundle asks for on this device."""
    manifest = bundle.manifest
    asked: dict[str, Any] = {
        "name": manifest.name,
        "data": {"dataset": "npz", "root": str(bundle.folder / DATA)},
    }
    measure = manifest.measure
    provider, threads = here.provider or measure.provider, here.threads or measure.intra_op_threads
    return attrs.evolve(
        reader.parse("", bundle.folder, asked),
        preprocessing=manifest.preprocessing,
        explain=manifest.explain,
        measure=attrs.evolve(measure, provider=provider, intra_op_threads=threads),
        policy=_policy_of(manifest.policy, here.name),
        seed=manifest.seed,
    )


def _policy_of(policy: Policy, device: str) -> Policy:
    """Return the criteria on a device, as if it were the host."""
    criteria = [attrs.evolve(one, device=HOST) for one in policy.criteria if one.device == device]
    return attrs.evolve(policy, criteria=criteria)


def _entries(bundle: Bundle) -> list[Entry]:
    """Return the files as entries of a run; a quantized one knows its float file."""
    entries: dict[str, Entry] = {}
    by_steps: dict[str, Entry] = {}
    for variant in bundle.manifest.variants:
        path = bundle.folder / (variant.file or "")
        source = by_steps.get(repr(variant.steps[:-1])) if _is_quantized(variant) else None
        entry = Entry(attrs.evolve(variant, weight_bytes={}), Artefact(variant.sha256 or "", path), None, source)
        entries[variant.name] = by_steps[repr(variant.steps)] = entry
    return list(entries.values())


def _is_quantized(variant: Variant) -> bool:
    return bool(variant.steps) and isinstance(variant.steps[-1], QuantizeStep)


def _baseline(run: Run, entry: Entry, progress: Progress) -> Line[Findings]:
    try:
        return (yield from examine(run, entry))
    except FAILURES as error:
        progress.note(f"{entry.name}: {error}")
        return failed(entry.variant, error)


def _variant(run: Run, entry: Entry, baseline: Started[Findings], progress: Progress) -> Line[Findings]:
    """Examine a variant beside the baseline, or alone where the baseline failed here."""
    before: Findings = yield baseline
    try:
        if before.entry is not None:
            return (yield from examine(run, entry, before))
        return (yield from examine(run, entry))
    except FAILURES as error:
        progress.note(f"{entry.name}: {error}")
        return failed(entry.variant, error)


def _completed(findings: Findings, baseline: Findings) -> Findings:
    """Where the baseline failed here, say so in the place of each comparison with it."""
    if baseline.entry is not None:
        return findings
    taken = {one.metric for one in findings.readings}
    lacking = [reading(findings.name, metric, None, note=NO_BASELINE) for metric in measurable() if metric not in taken]
    return attrs.evolve(findings, readings=[*findings.readings, *lacking])


def _beside_host(bundle: Bundle, findings: Findings) -> Findings:
    """Replace parity by that with the outputs on the host; without real images, say what was not measured."""
    manifest = bundle.manifest
    if findings.logits is None or findings.entry is None:
        return findings
    if manifest.synthetic:
        readings = [_unmeasured(r) if _needs_images(r.metric) else r for r in findings.readings]
        same = answers_digest(findings.logits) == manifest.answers[findings.name]
        told = [] if same else [Diagnostic("device-answers-differ", {"images": len(findings.logits)})]
        return attrs.evolve(findings, readings=readings, warnings=[*findings.warnings, *told])
    there = expected.load_logits(findings.entry.file.path.with_name(LOGITS), findings.logits.shape)
    apart = parity(findings.logits, there)
    kept = [r for r in findings.readings if not needs_twin(r.metric)]
    tied = [
        reading(findings.name, "parity.max_abs", apart.max_abs, n=apart.n),
        reading(findings.name, "parity.agreement", apart.agreement, n=apart.n),
    ]
    return attrs.evolve(findings, readings=[*kept, *tied])


def _needs_images(metric: str) -> bool:
    """Return whether a metric means nothing on synthetic images."""
    return on_labels(metric) or from_heatmaps(metric) or needs_twin(metric) or metric.startswith("fidelity.")


def _unmeasured(one: Reading) -> Reading:
    return reading(one.variant, one.metric, None, note=NO_IMAGES)


def _warnings(timed: timing.Timed) -> list[Diagnostic]:
    """Return the warnings about latency, and what the sensors of this device could not tell."""
    notes = [one for one in throttling(timed.conditions) if one.severity == "note"] if timed.conditions else []
    return [*timed.warnings, *notes]
