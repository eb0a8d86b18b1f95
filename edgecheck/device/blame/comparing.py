"""A quantized file beside its float baseline: the layers of both, ranked by their errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.layers import Layer, rounded, weighted_layers
from edgecheck.device.blame.matching import Pair, Unmatched, matched
from edgecheck.device.blame.measuring import LayerError, measure
from edgecheck.device.blame.places import OpenFile, Place, open_file, place
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet
from edgecheck.progress import Progress

ABSENT = "the other file has no layer of its name, nor one of its weights in its place"


@frozen(eq=False)
class Comparison:
    """Two files and the errors of their layers, the worst local error first; and the layers that were left out."""

    baseline: OpenFile
    candidate: OpenFile
    errors: list[LayerError]
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
    if rounded(baseline.wiring):
        raise ModelError(f"{baseline.path}: is quantized itself: give the float file as the baseline")
    if not rounded(candidate.wiring):
        raise ModelError(f"{candidate.path}: nothing in it is quantized: give the file that was quantized")
    layers = weighted_layers(baseline.wiring), weighted_layers(candidate.wiring)
    if not layers[0]:
        raise ModelError(f"{baseline.path}: has no layer with weights that are stored in it")
    try:
        pairs = matched(*layers)
    except ModelError as error:
        raise ModelError(f"{candidate.path}: {error}") from None
    places, unmatched = _places(baseline, candidate, pairs)
    if not places:
        raise ModelError(f"{candidate.path}: no layer can be compared: {unmatched[0].reason}")
    unmatched += _unpaired(baseline.path, layers[0], [pair.baseline for pair in pairs])
    unmatched += _unpaired(candidate.path, layers[1], [pair.candidate for pair in pairs])
    return Comparison(baseline, candidate, measure((baseline, candidate), places, data, how, progress), unmatched)


def _places(baseline: OpenFile, candidate: OpenFile, pairs: Sequence[Pair]) -> tuple[list[Place], list[Unmatched]]:
    places, unmatched = [], []
    for pair in pairs:
        try:
            places.append(place(baseline, candidate, pair))
        except ModelError as error:
            unmatched.append(Unmatched(baseline.path.name, pair.baseline.title, str(error)))
    return places, unmatched


def _unpaired(path: Path, layers: Sequence[Layer], paired: Sequence[Layer]) -> list[Unmatched]:
    known = set(map(id, paired))
    return [Unmatched(path.name, layer.title, ABSENT) for layer in layers if id(layer) not in known]
