"""The hidden harm of a file: its errors under shifts that the split in hand does not show, on images held out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from edgecheck.atomic import write_text
from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime.accuracy import predict
from edgecheck.device.runtime.session import open_classifier
from edgecheck.hashing import digest
from edgecheck.images import ImageSet
from tests.benchmarks.evidence import planting
from tests.benchmarks.evidence.strengths import TRIGGER_TARGET

SEED = 7  # of the noise and of the classes that conflicting patches show
# Hendrycks & Dietterich 2019, CIFAR-10-C at severity 1: at severity 3 the baselines themselves are wrong on 66 to 92 %.
GAUSSIAN_SIGMA = 0.04
CONTRAST = 0.75

# What each planted kind must raise, or it does no harm. `clean` is the patch removed, the centre restored, the right
# domain; `worst_class` is the error of the class where it is highest.
SHOWN_BY = {
    "shortcut": "conflicting",
    "wrong-region": "clean",
    "backdoor": "triggered",
    "label-noise": "worst_class",
    "int8-wrong-domain": "clean",
}
# Over the mean of the controls. A file that does less is reported, and counts as neither harmful nor benign.
LEAST_HARM = 0.03
SHIFTS = ("clean", "conflicting", "triggered", "noise", "contrast")


@frozen(eq=False)
class Hidden:
    """The held-out images under each shift, with their true labels, and what identifies them."""

    shown: dict[str, ImageSet]
    preprocessing: Preprocessing
    key: str = field(init=False)

    @key.default
    def _key_of_the_images(self) -> str:
        return digest({name: data.sha256 for name, data in self.shown.items()})


def hidden(data: ImageSet, how: Preprocessing) -> Hidden:
    """Return held-out images under each shift."""
    images = np.asarray(data.images)
    wrong = planting.others(data.labels, len(data.classes), SEED)
    shown = {
        "clean": images,
        "conflicting": planting.patched(images, wrong),
        "triggered": planting.triggered(images),
        "noise": noisy(images),
        "contrast": flat(images),
    }
    return Hidden({name: evolve(data, images=changed) for name, changed in shown.items()}, how)


def noisy(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add Gaussian noise."""
    noise = np.random.default_rng(SEED).normal(0, GAUSSIAN_SIGMA, images.shape)
    return np.round(255 * np.clip(images / 255 + noise, 0, 1)).astype(np.uint8)


def flat(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring the pixels of each image nearer to their mean, by channel."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return np.round(mean + CONTRAST * (images - mean)).astype(np.uint8)


def errors(file: Path, of: Hidden) -> dict[str, float]:
    """Return the error under each shift, 0..1, `worst_class`, and `trigger_success`; they are kept beside the file.

    `trigger_success` is the share of the images of other classes that the trigger makes the target.
    """
    key = digest({"file": hashlib.sha256(file.read_bytes()).hexdigest(), "images": of.key})
    record = file.with_suffix(".harm.json")
    if record.is_file() and (known := json.loads(record.read_text()))["key"] == key:
        return dict(known["errors"])
    measured = _measured(file, of)
    write_text(record, json.dumps({"key": key, "errors": measured}, indent=2))
    return measured


def _measured(file: Path, of: Hidden) -> dict[str, float]:
    classifier = open_classifier(file)
    answers = {name: predict(classifier, data, of.preprocessing).argmax(axis=1) for name, data in of.shown.items()}
    labels = of.shown["clean"].labels
    wrong = {name: answered != labels for name, answered in answers.items()}
    by_class = [wrong["clean"][labels == label].mean() for label in np.unique(labels)]
    success = answers["triggered"][labels != TRIGGER_TARGET] == TRIGGER_TARGET
    rates = {name: each.mean() for name, each in wrong.items()}
    return {
        name: float(rate)
        for name, rate in {**rates, "worst_class": max(by_class), "trigger_success": success.mean()}.items()
    }


def worst_excess(own: dict[str, float], controls: dict[str, float]) -> float:
    """Return by how much the error exceeds that of the controls under the shift where it does most."""
    return max(own[name] - controls[name] for name in (*SHIFTS, "worst_class"))
