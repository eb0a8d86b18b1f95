"""What keeping some layers in float gives, measured: the file is made and run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.comparing import Comparison
from edgecheck.device.blame.keeping import kept_in_float
from edgecheck.device.blame.measuring import LayerError
from edgecheck.device.model.files import size_bytes
from edgecheck.device.runtime import accuracy, probe
from edgecheck.device.runtime.session import open_classifier
from edgecheck.errors import EdgecheckError
from edgecheck.images import ImageSet
from edgecheck.progress import Progress


@frozen
class Trial:
    """A file on labelled images.

    Attributes:
        nodes: the nodes that are in float, the worst first; "" for one without a name.
        accuracy: share of the images, 0..1; None where the file could not be made or run.
        changed: images of which the baseline predicts another class; None likewise.
        bytes: size of the file; None likewise.
        note: the reason.
    """

    nodes: list[str]
    accuracy: float | None = None
    changed: int | None = None
    bytes: int | None = None
    note: str = ""


def trial(
    path: Path,
    nodes: Sequence[str],
    data: ImageSet,
    how: Preprocessing,
    expected: NDArray[np.int64] | None,
    progress: Progress,
) -> tuple[Trial, NDArray[np.int64]]:
    """Run a file on labelled images; return what it showed and the classes that it predicts `(N,)`.

    Args:
        path: the file.
        nodes: those of its nodes that are in float.
        data: labelled images.
        how: their preprocessing.
        expected: the classes that the baseline predicts; None for the baseline itself.
        progress: told of every batch.

    Raises:
        EdgecheckError: as `accuracy.predict` and `session.open_classifier`.
    """
    predicted = accuracy.predict(open_classifier(path), data, how, progress).argmax(axis=1)
    changed = 0 if expected is None else int(np.count_nonzero(predicted != expected))
    right = float((predicted == data.labels).mean())
    return Trial(list(nodes), right, changed, size_bytes(path)), predicted


def keep(
    comparison: Comparison,
    worst: Sequence[LayerError],
    folder: Path,
    data: ImageSet,
    how: Preprocessing,
    expected: NDArray[np.int64],
    progress: Progress,
) -> Trial:
    """Make the candidate with some layers in float and run it, in a limited process of its own first.

    Args:
        comparison: the files.
        worst: the layers.
        folder: takes the file.
        data: labelled images.
        how: their preprocessing.
        expected: the classes that the baseline predicts.
        progress: told of every batch.
    """
    nodes = [error.node for error in worst]
    path = folder / f"kept-{len(worst)}.onnx"
    try:
        places = [error.place for error in worst]
        onnx.save(kept_in_float(comparison.baseline.wiring, comparison.candidate.wiring, places), path)
        probe.run(path, comparison.candidate.classifier.options, data.shape)
        return trial(path, nodes, data, how, expected, progress)[0]
    except EdgecheckError as error:
        return Trial(nodes, note=str(error).removeprefix(f"{path}: "))
