"""What a bundle asks of a device: the settings of its run, as far as they mean something there."""

from __future__ import annotations

from pathlib import Path

import attrs

from edgecheck import plugins
from edgecheck.attribution.table import METHODS
from edgecheck.config.plan import Explain, Measure
from edgecheck.device.bundle.manifest import why_endless
from edgecheck.device.model import files
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import UsageError
from edgecheck.records import Policy, Report


def explain(report: Report, layer: str | None, baseline: Path) -> Explain:
    """Return the settings of the heatmaps on the device, where they are those of the files."""
    explained = {each.metric for each in report.readings} - plugins.registered()
    methods = [name for name in METHODS if f"sp2ps.{name}" in explained]
    own = report.subject.target_layer
    if layer is None and own in _tensors(baseline):
        layer = own
    return Explain(
        methods=methods,
        source="artefact",
        target_layer=layer,
        class_explained=report.subject.class_explained,  # type: ignore[arg-type]
        sam=report.subject.sam,  # type: ignore[arg-type]
        pictures=0,
    )


def _tensors(path: Path) -> set[str]:
    return {name for node in files.load_model(path).graph.node for name in node.output}


def measure(report: Report, budget_s: float, files: int) -> Measure:
    """Return the settings of the measurements: those of the host, with another budget for latency.

    Raises:
        UsageError: the latency of so many files would take longer than a device may be asked for.
    """
    here = report.environment
    try:
        asked = Measure(
            latency_budget_s=budget_s,
            pace_hz=here.pace_hz,
            batch=here.batch,
            intra_op_threads=here.intra_op_threads,
            graph_optimization=here.graph_optimization,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise UsageError(f"--time-budget: {error}") from None
    if endless := why_endless(asked, files):
        raise UsageError(f"--time-budget: {endless}")
    return asked


def policy(report: Report) -> Policy:
    """Return the gate of a run, without criteria on metrics of plugins: devices have no plugins."""
    foreign = plugins.registered()
    return attrs.evolve(report.policy, criteria=[one for one in report.policy.criteria if one.metric not in foreign])


def options(report: Report) -> Options:
    """Return how the host ran the files."""
    here = report.environment
    return Options(here.intra_op_threads, here.provider, here.graph_optimization)
