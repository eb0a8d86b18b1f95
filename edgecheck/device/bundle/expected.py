"""What the files of a bundle answered on the host: outputs for all packed images, heatmaps for the golden ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecheck import images
from edgecheck.attribution import engine
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.attribution.table import needs_of
from edgecheck.config.plan import Compute, Preprocessing
from edgecheck.device.explain.source import open_artefact
from edgecheck.device.runtime import accuracy, session
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import DataError
from edgecheck.images import ImageSet
from edgecheck.progress import Progress
from edgecheck.score.cam_file import CamFile

GOLDEN_IMAGES = 5


def outputs(
    path: Path, data: ImageSet, how: Preprocessing, options: Options, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Return the outputs of a file for images, float32 `(N, classes)`.

    Raises:
        EdgecheckError: as `session.open_classifier` and `accuracy.predict`.
    """
    return accuracy.predict(session.open_classifier(path, options), data, how, progress)


def heatmaps(
    path: Path, data: ImageSet, how: Preprocessing, methods: Sequence[str], layer: str | None, options: Options
) -> CamFile:
    """Return the heatmaps of a file for the classes that it predicts, without methods that it allows no maps by.

    Raises:
        ModelError: it cannot be explained.
        MeasurementError: a run failed, or the process that tries it crashed or took too long.
        ConfigError: a method is unknown.
    """
    subject = ExplainedSubject(
        onnx_file=path,
        target_layer=layer,
        needs=needs_of(methods),  # type: ignore[arg-type]  # the converter takes any iterable
        compute=Compute("cpu"),
        runtime=options,
    )
    with open_artefact(subject, images.preprocess(data.images[:1], how)) as source:
        able = [method for method in methods if method not in engine.refused(source, methods)]
        explanation = engine.explain(source, data, how, able)
        return CamFile(explanation.maps, explanation.logits, explanation.classes)


def golden(logits: Sequence[NDArray[np.float32]]) -> list[int]:
    """Return the images that a working device must get right: the clearest for all files, of different classes first.

    Close calls flip with harmless rounding. The margin of an image is that between the two largest outputs, in the file
    where it is smallest relative to that file's median margin.

    Args:
        logits: of each file, `(N, classes)`, at least two classes.
    """
    clearest = np.argsort(-np.min([_margins(each) for each in logits], axis=0), kind="stable")
    classes = logits[0].argmax(axis=1)
    first = [int(np.flatnonzero(classes[clearest] == each)[0]) for each in np.unique(classes)]
    order = [*sorted(first), *(place for place in range(len(clearest)) if place not in first)]
    return sorted(int(clearest[place]) for place in order[:GOLDEN_IMAGES])


def _margins(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the two largest outputs' difference of each image, `(N,)`, in units of its median."""
    top = np.sort(logits.astype(np.float64), axis=1)[:, -2:]
    margins: NDArray[np.float64] = top[:, 1] - top[:, 0]
    return margins / (float(np.median(margins)) or 1.0)


def save_logits(path: Path, logits: NDArray[np.float32]) -> None:
    """Write outputs; equal ones give equal bytes."""
    with open(path, "wb") as file:
        np.savez(file, logits=logits)


def load_logits(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the outputs that `save_logits` wrote.

    Raises:
        DataError: not outputs of this shape, `(N, classes)`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            logits: NDArray[np.float32] = archive["logits"]
    except Exception as error:  # numpy and zipfile raise a dozen kinds
        raise DataError(f"{path}: not readable outputs ({error}); pack the bundle again") from None
    if logits.shape != shape or logits.dtype != np.float32:
        raise DataError(f"{path}: outputs {logits.dtype} {logits.shape}, not float32 {shape}; pack the bundle again")
    return logits
