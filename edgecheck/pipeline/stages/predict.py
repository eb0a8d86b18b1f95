"""Compute the outputs of a file on all test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import versions
from edgecheck.artefact import Artefact, locator
from edgecheck.atomic import atomic
from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime import accuracy, session
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.progress import Named

LOGITS = "logits.npz"


@frozen
class Predicted:
    """The number of images."""

    n: int


@frozen
class Predict(Stage[Predicted]):
    """Run the file on all test images and write its outputs to `logits.npz`.

    `place` names the images where a file is run on several sets: it is part of the names of stage and file.
    """

    kind = "predict"
    tools = versions.FILES
    outputs = Predicted

    file: Artefact
    images: Images
    preprocessing: Preprocessing
    runtime: Options
    machine: dict[str, object]
    place: str = locator(default="")

    @property
    def name(self) -> str:
        """`predict`, followed by the place where a file is run on several sets."""
        return "-".join(filter(None, (self.kind, self.place)))

    @property
    def logits(self) -> str:
        """Name of the file with the outputs."""
        return f"logits-{self.place}.npz" if self.place else LOGITS

    @property
    def files(self) -> tuple[str, ...]:
        """The file with the outputs."""
        return (self.logits,)

    def compute(self, desk: Desk) -> Predicted:
        """Run the file.

        Raises:
            EdgecheckError: as `session.open_classifier` and `accuracy.predict`.
        """
        data = self.images.load()
        classifier = session.open_classifier(self.file.path, self.runtime)
        session.check_labels(classifier, data)
        told = Named(desk.progress, self.place) if self.place else desk.progress
        logits = accuracy.predict(classifier, data, self.preprocessing, told)
        with atomic(desk.folder / self.logits) as temporary, open(temporary, "wb") as file:
            np.savez(file, logits=logits)
        return Predicted(len(logits))


def load_logits(path: Path) -> NDArray[np.float32]:
    """Return only the logits of a file that `Predict` or `Explain` wrote, float32 `(N, classes)`."""
    with np.load(path, allow_pickle=False) as archive:
        return archive["logits"]
