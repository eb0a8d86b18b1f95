"""Where the scale of Sp2PS lies: the chance level of a baseline's maps, and copies of its file with random parameters.

Chance is part of every comparison of heatmaps. The copies are explained once per run.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgecheck.errors import EdgecheckError
from edgecheck.pipeline import explaining
from edgecheck.pipeline.entry import Entry, Findings, Run, Seen
from edgecheck.pipeline.failures import FAILURES
from edgecheck.pipeline.schedule import Line, Started
from edgecheck.pipeline.stages.anchors import AnchorsMeasured, MeasureAnchors
from edgecheck.pipeline.stages.chance import MeasureChance
from edgecheck.pipeline.work import Work
from edgecheck.records import Anchor, Mark

ON_THE_HOST = "measured on the host alone"


def chance(run: Run, baseline: Entry, seen: Seen) -> Line[dict[str, Mark]]:
    """Return the chance level of the baseline's maps from a source, by each method that they were made by."""
    methods = _methods(run, seen)
    if seen.file is None or not methods:
        return {}
    options, (_, height, width) = run.plan.explain, run.images.shape
    place = "" if seen.source == explaining.TWIN else seen.source
    stage = MeasureChance(seen.file, (height, width), methods, options.sam, run.plan.seed, place)
    chances: dict[str, Mark] = (yield Work(baseline.name, stage)).outputs.chances
    return chances


def anchored(run: Run, baseline: Started[Findings], copies: bool = True) -> Line[list[Anchor]]:
    """Return the anchors of a run, by each method that its baseline was explained by; none if the baseline failed.

    Without `copies`, which no board explains, there is chance alone.
    """
    try:
        findings: Findings = yield baseline
    except EdgecheckError:
        return []  # whoever waits for the baseline reports it
    entry, seen = findings.entry, findings.heatmaps.own if findings.heatmaps else None
    if entry is None or seen is None or seen.file is None or not _methods(run, seen):
        return []
    chances = yield from chance(run, entry, seen)
    random = (yield from _copies(run, entry, seen)) if copies else _missing(chances, ON_THE_HOST)
    return [Anchor(one, seen.source, chances[one], random.head[one], random.all[one]) for one in chances]


def _copies(run: Run, entry: Entry, seen: Seen) -> Line[AnchorsMeasured]:
    """Return what copies with random parameters score; where that fails, the reason."""
    plan, methods = run.plan, _methods(run, seen)
    assert seen.file is not None, "the baseline was explained"
    try:
        stage = MeasureAnchors(
            file=entry.file,
            baseline=seen.file,
            images=run.images,
            preprocessing=plan.preprocessing,
            methods=methods,
            layer=(yield from explaining.tensor_of(run, entry)),
            classes=plan.explain.class_explained,
            sam=plan.explain.sam,
            seed=plan.seed,
            runtime=run.runtime,
            machine=run.machine,
        )
        return (yield Work(entry.name, stage)).outputs
    except FAILURES as error:
        return _missing(methods, str(error))


def _missing(methods: Iterable[str], reason: str) -> AnchorsMeasured:
    missing = dict.fromkeys(methods, Mark(reason=reason))
    return AnchorsMeasured(missing, missing)


def _methods(run: Run, seen: Seen) -> list[str]:
    return [method for method in run.plan.explain.methods if method not in seen.refused]
