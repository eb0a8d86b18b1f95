"""Try other common preprocessings on a network that is hardly better than guessing."""

from __future__ import annotations

import attrs
import numpy as np
from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime import accuracy, session
from edgecheck.device.runtime.ort import Options
from edgecheck.images import ImageSet, take
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images

IMAGES = 64  # per preprocessing: enough to distinguish a working network from one that guesses

COMMON = {
    "range: [0, 1]": Preprocessing(),
    "range: [-1, 1]": Preprocessing(range=(-1, 1)),
    "range: [0, 255]": Preprocessing(range=(0, 255)),
    "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]": Preprocessing(
        mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
    ),
}


@frozen
class Attempt:
    """The accuracy of a file on some `images` with a preprocessing, in the words of the configuration."""

    preprocessing: str
    bgr: bool
    accuracy: float
    images: int


@frozen
class Attempts:
    """All preprocessings that were tried."""

    attempts: list[Attempt]


@frozen
class TryPreprocessings(Stage[Attempts]):
    """Run a file on images sampled from the whole set, with each common preprocessing, as RGB and as BGR."""

    kind = "suspect"
    tools = versions.FILES
    outputs = Attempts

    file: Artefact
    images: Images
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> Attempts:
        """Measure the accuracy with each preprocessing.

        Raises:
            MeasurementError: a run failed.
        """
        data = self.images.load()
        places = np.unique(np.linspace(0, len(data) - 1, IMAGES, dtype=np.int64))
        sample = take(data, places.tolist())
        classifier = session.open_classifier(self.file.path, self.runtime)
        pixels = sample.images[:]
        orders = {False: pixels, True: pixels[..., ::-1]} if pixels.shape[-1] > 1 else {False: pixels}
        return Attempts(
            [
                Attempt(
                    f"{{{name}}}", bgr, _accuracy(classifier, attrs.evolve(sample, images=ordered), how), len(sample)
                )
                for bgr, ordered in orders.items()
                for name, how in COMMON.items()
                if len(how.mean) in (0, pixels.shape[-1])
            ]
        )


def _accuracy(classifier: session.Classifier, data: ImageSet, how: Preprocessing) -> float:
    return float((accuracy.predict(classifier, data, how).argmax(axis=1) == data.labels).mean())
