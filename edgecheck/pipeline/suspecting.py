"""A network that hardly does better than guessing was most likely fed wrongly: would a usual preprocessing do?"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck import versions
from edgecheck.config.plan import Preprocessing
from edgecheck.device.model import files
from edgecheck.device.runtime import accuracy, environment, session
from edgecheck.images import ImageSet, take
from edgecheck.pipeline.entry import Entry, Run
from edgecheck.pipeline.measuring import runtime_options
from edgecheck.records import to_dict

NEAR_CHANCE = 3.0  # times as often right as a guess among so many classes: a network in use is better than that
IMAGES = 64  # tried with each preprocessing: enough to tell a network that works from one that does not
CLEARLY = 0.25  # by how much of the images another preprocessing must do better to be named

USUAL = {
    "range: [0, 1]": Preprocessing(),
    "range: [-1, 1]": Preprocessing(range=(-1, 1)),
    "range: [0, 255]": Preprocessing(range=(0, 255)),
    "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]": Preprocessing(
        mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
    ),
}


def better_fed(job: Run, entry: Entry, logits: NDArray[np.float32]) -> list[str]:
    """Return a warning with the preprocessing under which a guessing network does much better, if a usual one does.

    Each is tried on a few images, with the colours as they are and in reverse order (BGR).

    Raises:
        MeasurementError: a run failed.
    """
    right = float((logits.argmax(axis=1) == job.data.labels).mean())
    if right >= NEAR_CHANCE / len(job.data.classes):
        return []
    inputs = {
        "file": files.sha256(entry.file),
        "data": job.data_sha256,
        "runtime": to_dict(runtime_options(job.plan.measure)),
        "machine": environment.machine(),
        "tried": {name: to_dict(how) for name, how in USUAL.items()},
    }
    tried = job.store.stage(entry.name, "suspect", inputs, lambda: _tried(job, entry), tools=versions.FILES)
    best = max(tried, key=lambda name: tried[name])
    if tried[best] < right + CLEARLY:
        return []
    return [
        f"right on {100 * right:.1f} % of the images, but on {100 * tried[best]:.0f} % of some with preprocessing: "
        f"{best}; name what the network was trained with"
    ]


def _tried(job: Run, entry: Entry) -> dict[str, Any]:
    """Return the share of some images, from all over the set, on which the file is right, by preprocessing."""
    places = np.unique(np.linspace(0, len(job.data) - 1, IMAGES, dtype=np.int64))
    some = take(job.data, places.tolist())
    classifier = session.open_classifier(entry.file, runtime_options(job.plan.measure))
    pixels = some.images[:]
    orders = {"": pixels, " on BGR images": pixels[..., ::-1]} if pixels.shape[-1] > 1 else {"": pixels}
    return {
        f"{{{name}}}{order}": _share(classifier, attrs.evolve(some, images=images), how)
        for order, images in orders.items()
        for name, how in USUAL.items()
        if len(how.mean) in (0, pixels.shape[-1])
    }


def _share(classifier: session.Classifier, data: ImageSet, how: Preprocessing) -> float:
    return float((accuracy.predict(classifier, data, how).argmax(axis=1) == data.labels).mean())
