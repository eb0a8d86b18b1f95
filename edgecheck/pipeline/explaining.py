"""The heatmaps that a model is judged by: from which source, of which layer and class, and how they compare.

Where baseline and variant have a twin, heatmaps come from the twins. Otherwise they come from the files: those of both
sides, so that like is compared with like.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck.artefact import Artefact
from edgecheck.attribution.table import in_order
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.pipeline.entry import Entry, Findings, Heatmaps, Run, Seen
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.stages.compare import Compare
from edgecheck.pipeline.stages.explain import ARTEFACT, TWIN, Explain
from edgecheck.pipeline.stages.locate import Locate
from edgecheck.pipeline.stages.pictures import Draw
from edgecheck.pipeline.stages.predict import LOGITS, Predict, load_logits
from edgecheck.pipeline.subject import lab_installed
from edgecheck.pipeline.work import Work
from edgecheck.records import Gallery

AUTO = "auto"
FIDELITY, PARITY = "fidelity", "parity"
TWIN_ASKED = "explain.source is twin, and this file has none"


def explain(run: Run, entry: Entry, baseline: Findings | None = None) -> Line[Heatmaps]:
    """Explain a model and, given the findings of the baseline, compare its maps with the baseline's."""
    if baseline is None or baseline.entry is None:
        return Heatmaps((yield from _seen(run, entry, _source(run, [entry]))))
    source = _source(run, [entry, baseline.entry])
    kept = baseline.heatmaps.own if baseline.heatmaps else None
    before = kept if kept and kept.source == source else (yield from _seen(run, baseline.entry, source))
    after = yield from _seen(run, entry, source, before, (yield from _class_of(run, baseline.entry, before)))
    return (yield from _compared(run, entry.name, before, after))


def twin_logits(run: Run, entry: Entry, own: Seen) -> Line[NDArray[np.float32] | None]:
    """Return what the twin of a file answers to the images; None where it has none."""
    if own.source == TWIN:
        return own.logits
    if entry.twin is None:
        return None
    stage = attrs.evolve(_stage(run, entry, TWIN, None, None), methods=[], place=PARITY)
    return load_logits((yield Work(entry.twin.folder, stage)).files[stage.cams].path)


def fidelity(run: Run, entry: Entry, floats: Entry) -> Line[Heatmaps]:
    """Compare the maps of a quantized file with those of its float file, of the class that the float file predicts."""
    before = yield from _seen(run, floats, ARTEFACT)
    predicted = yield from predictions(run, floats)
    after = yield from _seen(run, entry, ARTEFACT, explained=predicted, place=FIDELITY)
    return (yield from _compared(run, entry.name, before, after, FIDELITY))


def _source(run: Run, sides: Sequence[Entry]) -> str:
    asked = run.plan.explain.source
    if asked != AUTO:
        return asked
    return TWIN if all(side.twin for side in sides) else ARTEFACT


def _class_of(run: Run, baseline: Entry, before: Seen) -> Line[Artefact | None]:
    """Return the file whose predictions are explained of a variant; None for its own predictions, or the labels."""
    if run.plan.explain.class_explained != "baseline":
        return None
    return (yield from predictions(run, baseline)) if before.source == ARTEFACT else before.file


def _seen(
    run: Run,
    entry: Entry,
    source: str,
    baseline: Seen | None = None,
    explained: Artefact | None = None,
    place: str | None = None,
) -> Line[Seen]:
    """Return the maps of a model from a source; where that cannot give them, the reason in their place."""
    options, twin, by_twin = run.plan.explain, entry.twin, source == TWIN
    if by_twin and twin is None:
        return Seen.missing(source, TWIN_ASKED)
    try:
        layer = yield from _layer(run, entry, source, baseline)
        if source == ARTEFACT and explained is None and options.class_explained != "label":
            explained = yield from predictions(run, entry)
        stage = _stage(run, entry, source, layer, explained)
        stage = attrs.evolve(stage, place=("" if by_twin else source) if place is None else place)
        done = yield Work(twin.folder if twin and by_twin else entry.name, stage)
    except (MeasurementError, ModelError) as error:
        if by_twin:
            raise  # a twin that does not run is no twin of this file
        return Seen.missing(source, str(error))
    file, outputs = done.files[stage.cams], done.outputs
    logits = load_logits(file.path)
    return Seen(source, file, logits, outputs.target_layer, outputs.device, outputs.warnings, outputs.refused)


def _stage(run: Run, entry: Entry, source: str, layer: str | None, explained: Artefact | None) -> Explain:
    plan, options, by_twin = run.plan, run.plan.explain, source == TWIN
    return Explain(
        source=source,
        network=entry.twin.network if entry.twin and source != ARTEFACT else None,
        file=None if by_twin else entry.file,
        images=run.images,
        preprocessing=plan.preprocessing,
        methods=options.methods,
        engine=options.engine if by_twin else "edgecheck",
        layer=layer,
        classes=options.class_explained,
        explained=explained,
        device="cpu" if source == ARTEFACT else plan.compute.device,
        runtime=None if by_twin else run.runtime,
        machine=None if by_twin else run.machine,
        threads=plan.compute.threads,
    )


def _layer(run: Run, entry: Entry, source: str, baseline: Seen | None) -> Line[str | None]:
    """Return the target layer in the words of the source; None for its default."""
    if source != ARTEFACT:
        return run.plan.explain.target_layer or (baseline.target_layer if baseline else None)
    return (yield from tensor_of(run, entry))


def tensor_of(run: Run, entry: Entry) -> Line[str | None]:
    """Return the tensor of a file that is explained; None for the default target of the file."""
    plan, asked = run.plan, run.plan.explain.target_layer
    twin = entry.twin or (entry.source.twin if entry.source else None)
    if twin is None:
        return asked
    stage = Locate(
        twin.network, entry.file, run.images, plan.preprocessing, asked, plan.compute.device, run.runtime, run.machine
    )
    tensor: str | None = (yield Work(entry.name, attrs.evolve(stage, threads=plan.compute.threads))).outputs.tensor
    return tensor


def predictions(run: Run, entry: Entry) -> Line[Artefact]:
    """Return the file that holds what a model predicts."""
    predict = Predict(entry.file, run.images, run.plan.preprocessing, run.runtime, run.machine)
    return (yield Work(entry.name, predict)).files[LOGITS]


def _compared(run: Run, name: str, before: Seen, after: Seen, place: str = "") -> Line[Heatmaps]:
    """Compare a variant's maps with the baseline's by the methods that both have; not at all where either has none."""
    options = run.plan.explain
    methods = [method for method in options.methods if method not in {**before.refused, **after.refused}]
    if before.file is None or after.file is None or not methods:
        return Heatmaps(after, before)
    stage = Compare(before.file, after.file, run.images, methods, options.sam, run.plan.seed, place)
    done = yield Work(name, stage)
    found = [attrs.evolve(one, variant=name, source=after.source) for one in done.outputs.similarities]
    return Heatmaps(after, before, found, done.files[stage.scores])


def pictures(run: Run, entry: Entry, heatmaps: Heatmaps) -> Line[tuple[Gallery | None, list[str]]]:
    """Select the images that the report shows of a variant, and make their pictures.

    Returns:
        The images, None where nothing is compared or PyTorch and OpenCV are not installed; and the files, relative to
        the run folder.
    """
    before, after, scores = heatmaps.baseline, heatmaps.own, heatmaps.scores
    count, methods = run.plan.explain.pictures, in_order(each.method for each in heatmaps.similarities)
    if before is None or before.file is None or after.file is None or scores is None or not count:
        return None, []
    if not lab_installed():
        return None, []
    done = yield Work(entry.name, Draw(before.file, after.file, scores, run.images, methods, count))
    return done.outputs.gallery, [f"{entry.name}/{file}" for file in done.files]
