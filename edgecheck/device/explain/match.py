"""Which tensor of an ONNX file holds a feature map that is known from elsewhere, such as from its twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.explain.opening import open_wiring
from edgecheck.device.explain.rehearsal import rehearse_outputs
from edgecheck.device.explain.target import Target, find_target, map_names
from edgecheck.device.explain.wiring import Wiring, body
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import Classifier, open_classifier
from edgecheck.errors import ModelError

# Largest relative difference of a map and its match: int8 rounding moves a map by some per cent, and another tensor of
# the same shape differs by about as much as it is large.
TOLERANCE = 0.3


@frozen
class Match:
    """The tensor closest to a map, and how far they are apart, relative to the size of the map."""

    tensor: str
    difference: float


def closest(path: Path, inputs: NDArray[np.float32], feature: NDArray[np.float32], options: Options) -> Match | None:
    """Return the tensor of a file that is closest to a feature map; None where none comes near.

    Args:
        path: the file.
        inputs: images `(N, C, H, W)`, preprocessed.
        feature: the map to find, `(N, K, h, w)`.
        options: how the file is run.

    Raises:
        ModelError: the file cannot be read or run.
        MeasurementError: ONNX Runtime crashes on its parts.
    """
    whole = open_classifier(path, options)
    shape = (inputs.shape[1], inputs.shape[2], inputs.shape[3])
    wiring = open_wiring(whole, shape)
    targets = [target for name in map_names(wiring) if (target := _readable(wiring, name)) is not None]
    alike = [
        target for target in targets if target.shape(wiring.graph.tensors[target.tensor].shape[1:]) == feature.shape[1:]
    ]
    if not alike:
        return None
    rehearse_outputs(path, options, shape, [target.tensor for target in alike])
    differences = _differences(whole, wiring, alike, inputs, feature)
    best = int(np.argmin(differences))
    return Match(alike[best].name, differences[best]) if differences[best] <= TOLERANCE else None


def names_map(path: Path, shape: tuple[int, int, int], name: str) -> bool:
    """Return whether a file has a feature map of this name; `shape` is channels, height, width of an image.

    Raises:
        ModelError: the file cannot be read.
    """
    whole = open_classifier(path)
    return name in map_names(open_wiring(whole, shape))


def _readable(wiring: Wiring, name: str) -> Target | None:
    try:
        return find_target(wiring, name)
    except ModelError:  # integers without a scale of their own
        return None


def _differences(
    whole: Classifier, wiring: Wiring, targets: list[Target], inputs: NDArray[np.float32], feature: NDArray[np.float32]
) -> list[float]:
    names = [target.tensor for target in targets]
    session = ort.start(whole.path, whole.options, body(wiring.graph, names).SerializeToString())
    step = whole.batch or len(inputs)
    squares = np.zeros(len(targets))
    for start in range(0, len(inputs), step):
        part = slice(start, start + step)
        given = ort.run(whole.path, session, names, whole.feed(inputs[part]), ModelError)
        for place, (target, values) in enumerate(zip(targets, given, strict=True)):
            real = target.channels_first(values)[: len(feature[part])]
            squares[place] += float(np.square(real - feature[part], dtype=np.float64).sum())
    size = max(float(np.square(feature, dtype=np.float64).sum()), np.finfo(np.float64).tiny)
    return [float(value) for value in np.sqrt(squares / size)]
