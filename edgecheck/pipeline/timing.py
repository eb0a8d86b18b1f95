"""Timing at the end of a run, when nothing else runs: the layers of each file, and the latency of all files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from attrs import field, frozen

from edgecheck.artefact import Artefact
from edgecheck.device.diagnostics import Target, throttling
from edgecheck.device.latency import stability, timings
from edgecheck.device.latency.sampler import Sampling
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.latency.timings import LatencySamples
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.schedule import Line, Schedule
from edgecheck.pipeline.stages.latency import Time
from edgecheck.pipeline.stages.profile import Profile
from edgecheck.pipeline.work import Work
from edgecheck.records import Diagnostic, reading
from edgecheck.records.board import Conditions


@frozen(eq=False)
class Timed:
    """The findings with layers and latency, warnings about the latency, and the conditions it was sampled under."""

    findings: list[Findings]
    warnings: list[Diagnostic] = field(factory=list)
    conditions: Conditions | None = None


def time_all(run: Run, schedule: Schedule, findings: Sequence[Findings]) -> Timed:
    """Time the layers of each file, then the files; call it last.

    Raises:
        EdgecheckError: a stage failed.
    """
    profiled = schedule.finish(schedule.start(with_layers(run, each) for each in findings))
    return schedule.finish(schedule.start([_timed(run, profiled)]))[0]


def with_layers(run: Run, findings: Findings) -> Line[Findings]:
    """Add the layers of a file as ONNX Runtime runs them, and its peak of live activations."""
    if findings.entry is None:
        return findings
    measure, name = run.plan.measure, findings.name
    target = Target(measure.max_opset, measure.max_ir)
    stage = Profile(findings.entry.file, run.images.shape, run.runtime, target, run.machine)
    ran = (yield Work(name, stage)).outputs
    return attrs.evolve(
        findings,
        variant=attrs.evolve(findings.variant, layers=ran.layers, arena_bytes=ran.arena_bytes),
        readings=[*findings.readings, reading(name, "memory.activation_bytes", ran.peak_bytes, note=ran.note)],
        warnings=[*ran.warnings, *findings.warnings],
    )


def _timed(run: Run, findings: Sequence[Findings]) -> Line[Timed]:
    """Add latency readings, sampled from all files in turn in one process."""
    if run.plan.measure.latency_budget_s == 0:
        return Timed(list(findings))
    files = {each.name: each.entry.file for each in findings if each.entry is not None}
    if not files:
        return Timed(list(findings))
    candidates = [each.name for each in findings if each.name in files and each.variant.role == "candidate"]
    samples = yield from sampled(run, files, candidates)
    readings = timings.readings(samples, findings[0].name)
    timed = [
        attrs.evolve(each, readings=[*each.readings, *(r for r in readings if r.variant == each.name)])
        for each in findings
    ]
    return Timed(timed, [*stability.warnings(samples), *_throttled(samples.conditions)], samples.conditions)


def sampled(
    run: Run, files: Mapping[str, Artefact], candidates: Sequence[str], folder: str = ""
) -> Line[LatencySamples]:
    """Sample the latency of files in turn, the baseline first, until the policy is decided for all candidates.

    `folder` is the variant whose folder keeps the samples; "" for the run.
    """
    plan, measure = run.plan, run.plan.measure
    stopping = Stopping.of(plan.policy, candidates)
    stage = Time(
        files_by_name=dict(files),
        images=run.images,
        preprocessing=plan.preprocessing,
        runtime=run.runtime,
        sampling=Sampling(measure.latency_budget_s, plan.seed, measure.pace_hz, measure.batch),
        criteria=stopping.criteria,
        candidates=stopping.candidates,
        machine=run.machine,
    )
    return (yield Work(folder, stage)).outputs


def _throttled(conditions: Conditions | None) -> list[Diagnostic]:
    """Return a warning if the device was throttled; what its sensors could not tell matters on a board only."""
    return [one for one in throttling(conditions) if one.severity == "warning"] if conditions else []
