"""A quantized file beside its float baseline: the layers of both, ranked by their errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.layers import Layer, rounds, weighted_layers
from edgecheck.device.blame.matching import Unmatched, matched
from edgecheck.device.blame.measuring import LayerError, measure
from edgecheck.device.blame.places import OpenFile, Place, between, open_file, place
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet
from edgecheck.progress import Progress

ABSENT = "the other file has no layer of its name, nor one of its weights in its place"


@frozen(eq=False)
class Comparison:
    """Two files and the errors of their layers.

    Attributes:
        baseline: the float file.
        candidate: the quantized one.
        errors: those of the quantized layers, the worst local error first.
        kept: the layers that are float in the candidate too.
        unmatched: the layers that were left out.
    """

    baseline: OpenFile
    candidate: OpenFile
    errors: list[LayerError]
    kept: list[str]
    unmatched: list[Unmatched]


def compare(
    paths: tuple[Path, Path], options: Options, data: ImageSet, how: Preprocessing, progress: Progress
) -> Comparison:
    """Return the errors of the layers of a quantized file on images.

    Args:
        paths: the float file and the one that was quantized from it.
        options: how they are run.
        data: images.
        how: their preprocessing.
        progress: told of every batch.

    Raises:
        ModelError: the files are not a float file and a quantized one of the same network.
        MeasurementError: a run failed.
    """
    baseline, candidate = (open_file(path, data.shape, options) for path in paths)
    if rounds(baseline.wiring, baseline.wiring.graph.nodes):
        raise ModelError(f"{baseline.path}: is quantized itself: give the float file as the baseline")
    if not rounds(candidate.wiring, candidate.wiring.graph.nodes):
        raise ModelError(f"{candidate.path}: nothing in it is quantized: give the file that was quantized")
    places, unmatched = _places(baseline, candidate)
    quantized = [one for one in places if _is_quantized(candidate, one)]
    if not quantized:
        reason = f": {unmatched[0].reason}" if unmatched else ""
        raise ModelError(f"{candidate.path}: no layer with weights is quantized that can be compared{reason}")
    kept = [one.pair.baseline.title for one in places if one not in quantized]
    errors = measure((baseline, candidate), quantized, data, how, progress)
    return Comparison(baseline, candidate, errors, kept, unmatched)


def _places(baseline: OpenFile, candidate: OpenFile) -> tuple[list[Place], list[Unmatched]]:
    """Return the layers that can be compared, and those that cannot."""
    mine, theirs = weighted_layers(baseline.wiring), weighted_layers(candidate.wiring)
    if not mine:
        raise ModelError(f"{baseline.path}: has no layer with weights that are stored in it")
    try:
        pairs = matched(mine, theirs)
    except ModelError as error:
        raise ModelError(f"{candidate.path}: {error}") from None
    places, unmatched = [], []
    for pair in pairs:
        try:
            places.append(place(baseline, candidate, pair))
        except ModelError as error:
            unmatched.append(Unmatched(baseline.path.name, pair.baseline.title, str(error)))
    unmatched += _unpaired(baseline.path, mine, [pair.baseline for pair in pairs])
    unmatched += _unpaired(candidate.path, theirs, [pair.candidate for pair in pairs])
    return places, unmatched


def _is_quantized(candidate: OpenFile, one: Place) -> bool:
    return rounds(candidate.wiring, between(candidate.wiring, one.candidate.reads, one.candidate.gives))


def _unpaired(path: Path, layers: Sequence[Layer], paired: Sequence[Layer]) -> list[Unmatched]:
    known = set(map(id, paired))
    return [Unmatched(path.name, layer.title, ABSENT) for layer in layers if id(layer) not in known]
