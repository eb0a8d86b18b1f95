"""What is asked of a board beyond `check`: which execution provider ran each node, and the energy of an inference."""

from __future__ import annotations

import attrs
from attrs import frozen

from edgecheck.device.diagnostics import fallback
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.pipeline.entry import Entry, Findings, Run
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.stages.energy import MeasureEnergy
from edgecheck.pipeline.stages.placement import Place
from edgecheck.pipeline.work import Work
from edgecheck.records import Diagnostic, Reading, reading
from edgecheck.records.board import Energy, Placement


@frozen(eq=False)
class OnBoard:
    """The findings on a file with what the board adds; `placement` and `energy` are None where they failed."""

    findings: Findings
    placement: Placement | None = None
    energy: Energy | None = None


def examine(run: Run, findings: Findings) -> Line[OnBoard]:
    """Add placement and energy of a file that runs here."""
    entry = findings.entry
    if entry is None:
        return OnBoard(findings)
    placement, placed, warnings = yield from _placement(run, entry)
    energy, used = yield from _energy(run, entry)
    readings, all_warnings = [*findings.readings, placed, used], [*findings.warnings, *warnings]
    return OnBoard(attrs.evolve(findings, readings=readings, warnings=all_warnings), placement, energy)


def _placement(run: Run, entry: Entry) -> Line[tuple[Placement | None, Reading, list[Diagnostic]]]:
    metric = "provider.fallback_share"
    try:
        stage = Place(entry.file, run.images.shape, run.runtime, run.machine)
        placement = (yield Work(entry.name, stage)).outputs
    except (MeasurementError, ModelError) as error:
        return None, reading(entry.name, metric, None, note=str(error)), []
    nodes = sum(ran.nodes for ran in placement.providers.values())
    return placement, reading(entry.name, metric, placement.fallback_share, n=nodes), fallback(placement)


def _energy(run: Run, entry: Entry) -> Line[tuple[Energy | None, Reading]]:
    metric = "energy.per_inference_j"
    try:
        stage = MeasureEnergy(entry.file, run.images, run.plan.preprocessing, run.runtime, run.machine)
        used = (yield Work(entry.name, stage)).outputs
    except (MeasurementError, ModelError) as error:
        return None, reading(entry.name, metric, None, note=str(error))
    joules = used.energy.per_inference_j(used.runs)
    return used.energy, reading(entry.name, metric, joules, n=used.runs or None, note=used.energy.reason)
