"""Compute the outputs of a file on all test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime import accuracy, session
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images

LOGITS = "logits.npz"


@frozen
class Predicted:
    """The number of images."""

    n: int


@frozen
class Predict(Stage[Predicted]):
    """Run the file on all test images and write its outputs to `logits.npz`."""

    kind = "predict"
    tools = versions.FILES
    outputs = Predicted
    files = (LOGITS,)

    file: Artefact
    images: Images
    preprocessing: Preprocessing
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> Predicted:
        """Run the file.

        Raises:
            EdgecheckError: as `session.open_classifier` and `accuracy.predict`.
        """
        data = self.images.load()
        classifier = session.open_classifier(self.file.path, self.runtime)
        session.check_labels(classifier, data)
        logits = accuracy.predict(classifier, data, self.preprocessing, desk.progress)
        with atomic(desk.folder / LOGITS) as temporary, open(temporary, "wb") as file:
            np.savez(file, logits=logits)
        return Predicted(len(logits))


def load_logits(path: Path) -> NDArray[np.float32]:
    """Return only the logits of a file that `Predict` or `Explain` wrote, float32 `(N, classes)`."""
    with np.load(path, allow_pickle=False) as archive:
        return archive["logits"]
