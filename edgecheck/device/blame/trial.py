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
from edgecheck.scratch import temporary_folder

HALF = 0.5
ALPHA = 0.05  # how often chance alone may look like a repair


@frozen(eq=False)
class Trial:
    """A file on labelled images.

    Attributes:
        nodes: the nodes that are in float, the worst first; "" for one without a name.
        classes: the predicted classes `(N,)`; None where the file could not be made or run.
        bytes: size of the file; None likewise.
        note: the reason.
    """

    nodes: list[str]
    classes: NDArray[np.int64] | None = None
    bytes: int | None = None
    note: str = ""

    def accuracy(self, labels: NDArray[np.int64]) -> float | None:
        """Return the share of images `(N,)` that are predicted right, 0..1."""
        return None if self.classes is None else float((self.classes == labels).mean())

    def changed(self, other: Trial) -> int | None:
        """Return the number of images for which another file predicts another class."""
        if self.classes is None or other.classes is None:
            return None
        return int(np.count_nonzero(self.classes != other.classes))

    def repairs(self, broken: Trial, reference: Trial) -> bool:
        """Return whether this file undoes at least half of the changes in `broken`, more than chance would.

        That is tested by McNemar's exact test on the images where one of the two agrees with the reference.
        """
        if self.classes is None or broken.classes is None or reference.classes is None:
            return False
        wrong, left = (np.not_equal(one, reference.classes) for one in (broken.classes, self.classes))
        undone, new = int((wrong & ~left).sum()), int((left & ~wrong).sum())
        return int(left.sum()) <= HALF * int(wrong.sum()) and accuracy.mcnemar(undone, new) <= ALPHA


def run(path: Path, nodes: Sequence[str], data: ImageSet, how: Preprocessing, progress: Progress) -> Trial:
    """Run a file on labelled images.

    Args:
        path: the file.
        nodes: those of its nodes that are in float.
        data: the images.
        how: their preprocessing.
        progress: told of every batch.

    Raises:
        EdgecheckError: as `accuracy.predict` and `session.open_classifier`.
    """
    logits = accuracy.predict(open_classifier(path), data, how, progress)
    return Trial(list(nodes), logits.argmax(axis=1), size_bytes(path))


def keep(
    comparison: Comparison,
    worst: Sequence[LayerError],
    data: ImageSet,
    how: Preprocessing,
    progress: Progress,
) -> Trial:
    """Make the candidate with some layers in float and run it, in a limited process of its own first.

    Args:
        comparison: the files.
        worst: the layers.
        data: labelled images.
        how: their preprocessing.
        progress: told of every batch.
    """
    nodes, places = [error.node for error in worst], [error.place for error in worst]
    with temporary_folder() as folder:
        path = folder / "kept.onnx"
        try:
            onnx.save(kept_in_float(comparison.baseline.wiring, comparison.candidate.wiring, places), path)
            probe.run(path, comparison.candidate.classifier.options, data.shape)
            return run(path, nodes, data, how, progress)
        except EdgecheckError as error:
            return Trial(nodes, note=str(error).removeprefix(f"{path}: "))
