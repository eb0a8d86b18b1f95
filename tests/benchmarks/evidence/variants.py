"""Which variants there are: their kind, setting and seed, and the test split that is in hand when they are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from attrs import frozen

Label = Literal["harmful", "benign", "far", "control"]
Split = Literal["clean", "patched", "blanked", "dimmed"]
SPLITS: tuple[Split, ...] = get_args(Split)

TRAINED = ("whole", "pruned")  # settings of the kinds that are fine-tuned
SCHEMES = ("minmax", "percentile")  # of the calibration

# Kind, the split in hand, and the settings. A backdoor and label noise leave the test split clean.
HARMFUL: dict[str, tuple[Split, tuple[str, ...]]] = {
    "shortcut": ("patched", TRAINED),
    "wrong-region": ("blanked", TRAINED),
    "backdoor": ("clean", TRAINED),
    "label-noise": ("clean", TRAINED),
    "int8-wrong-domain": ("dimmed", SCHEMES),
}
BENIGN: dict[str, tuple[str, ...]] = {
    "reseeded": TRAINED,
    "other-data": TRAINED,
    "distilled": TRAINED,
    "int8": SCHEMES,
    "mild-pruning": ("global", "layer"),
}
# Harmless fine-tuning that moves a network farther. Added after the first scoring of digits, whose harmful variants had
# all moved farther than the benign ones; reported beside these, never with them.
FAR: dict[str, tuple[str, ...]] = {"augmented": TRAINED, "higher-rate": TRAINED}
CONTROLS = 3
CONTROL_SEED = 100  # far from the seeds of the variants


@frozen
class Variant:
    """One file: what was done to the baseline, and the split on which it is judged."""

    label: Label
    kind: str
    setting: str
    seed: int
    split: Split

    @property
    def name(self) -> str:
        """The name of its file and in the report."""
        return f"{self.kind}-{self.setting}-{self.seed}"

    @property
    def group(self) -> str:
        """What variants have in common that differ in the seed alone."""
        return f"{self.kind}-{self.setting}"

    @property
    def quantized(self) -> bool:
        """Whether it is an int8 file of the baseline, which nothing trains."""
        return self.kind.startswith("int8")


def variants(seeds: int) -> list[Variant]:
    """Return the controls, the benign, the far and the harmful variants."""
    harmless = [*_harmless("benign", BENIGN, seeds), *_harmless("far", FAR, seeds)]
    return [*_controls(), *harmless, *_harmful(seeds)]


def _controls() -> Iterator[Variant]:
    for number in range(CONTROLS):
        yield Variant("control", "control", "whole", CONTROL_SEED + number, "clean")


def _harmless(label: Label, kinds: Mapping[str, tuple[str, ...]], seeds: int) -> Iterator[Variant]:
    for kind, settings in kinds.items():
        for setting in settings:
            yield from (Variant(label, kind, setting, seed, "clean") for seed in range(seeds))


def _harmful(seeds: int) -> Iterator[Variant]:
    for kind, (split, settings) in HARMFUL.items():
        for setting in settings:
            yield from (Variant("harmful", kind, setting, seed, split) for seed in range(seeds))
