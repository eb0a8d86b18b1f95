"""The three baselines, their images, and the one recipe that trains all variants of each."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
from attrs import evolve, frozen
from torch import nn

from edgecheck.config.plan import DataSpec, ModelSpec, Preprocessing
from edgecheck.images import ImageSet, draw, head, take
from edgecheck.lab import data as lab_data
from edgecheck.lab import train
from edgecheck.pipeline.subject import build_module
from edgecheck.progress import Silent
from edgecheck.steps import Recipe
from tests.benchmarks.evidence.strengths import (
    DIGITS_HIDDEN_IMAGES,
    HIDDEN_IMAGES,
    SCORED_IMAGES,
    STRENGTHS,
    Strengths,
)
from tests.benchmarks.subjects import IMAGENET, real_data

HELD_OUT_SEED = 15  # draws the digits that are held out of the training split


@frozen
class Subject:
    """A baseline, built by `spec`, its preprocessing, and the strengths of its variants."""

    name: str
    spec: ModelSpec
    preprocessing: Preprocessing
    strengths: Strengths

    def network(self) -> nn.Module:
        """Return a new module with the baseline's weights."""
        if self.name == "digits":
            return copy.deepcopy(_trained_digits())
        return build_module(self.spec, seed=0).eval()

    def pool(self) -> ImageSet:
        """Return the images that fine-tuning draws from."""
        return _digits()[0] if self.name == "digits" else _cifar("train", None)

    def tuning(self, drawn: int) -> ImageSet:
        """Return the fine-tuning images of a draw."""
        return draw(self.pool(), self.strengths.tuning_images, drawn)[0]

    def scored(self) -> ImageSet:
        """Return the test images in hand."""
        if self.name == "digits":
            return lab_data.load(DataSpec("digits"), self.preprocessing, "test", Silent())
        return _cifar("test", SCORED_IMAGES)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.scored().shape

    def hidden(self) -> ImageSet:
        """Return images for the hidden harm: neither trained on nor scored."""
        if self.name == "digits":
            return _digits()[1]
        whole = _cifar("test", SCORED_IMAGES + HIDDEN_IMAGES)
        return take(whole, range(SCORED_IMAGES, len(whole)))


DIGITS_INPUT = Preprocessing(size=(32, 32), mean=[0.3053], std=[0.3233])
# The demo's training, models/digits_cnn.yaml.
DIGITS_TRAINING = Recipe(epochs=8, batch_size=32, learning_rate=0.05, weight_decay=0.0005, schedule="cosine")


def _weights(name: str) -> Path:
    return real_data() / "weights" / name


def subjects() -> dict[str, Subject]:
    """Return the subjects by name; those on CIFAR-10 need the folder that EDGECHECK_DATA names."""
    raw = Preprocessing(range=(0, 255), mean=[0, 0, 0], std=[1, 1, 1])
    return {
        name: Subject(name, ModelSpec(f"edgecheck:{factory}", weights), how, STRENGTHS[name])
        for name, factory, weights, how in (
            ("digits", "digits_cnn", None, DIGITS_INPUT),
            ("resnet8", "resnet8", _weights("resnet8_mlperf_tiny.pt"), raw),
            ("resnet20", "resnet20", _weights("resnet20_akamaster.pt"), IMAGENET),
        )
    }


@cache
def _cifar(split: lab_data.Split, limit: int | None) -> ImageSet:
    spec = DataSpec("cifar10", real_data() / "cifar10", limit=limit)
    data = lab_data.load(spec, Preprocessing(), split, Silent())
    return evolve(data, images=np.asarray(data.images[:]))


@cache
def _digits() -> tuple[ImageSet, ImageSet]:
    """Return the training split without the images held out, and those."""
    whole = lab_data.load(DataSpec("digits"), DIGITS_INPUT, "train", Silent())
    whole = evolve(whole, images=np.asarray(whole.images[:]))
    shuffled = take(whole, np.random.default_rng(HELD_OUT_SEED).permutation(len(whole)).tolist())
    kept = len(whole) - DIGITS_HIDDEN_IMAGES
    return head(shuffled, kept), take(shuffled, range(kept, len(shuffled)))


@cache
def _trained_digits() -> nn.Module:
    module = build_module(ModelSpec("edgecheck:digits_cnn"), seed=0)
    train.train(train.Training(module, DIGITS_INPUT, DIGITS_TRAINING, seed=0), _digits()[0], Silent())
    return module
