"""Corrupts test images: the same image at the same place of a set gets the same noise, whatever else is in the set."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.corruption.pixels import PIXEL_MAX
from edgecheck.corruption.table import KINDS, SEVERITIES, Corruption, Kind
from edgecheck.errors import DependencyError
from edgecheck.metrics import METRICS, excess_error
from edgecheck.npz_memmap import Pixels
from edgecheck.registry import lookup, register, resolve


def register_corruption(name: str, kind: Kind) -> None:
    """Register a kind of corruption, with its metrics `excess_error_pp.NAME-1` to `excess_error_pp.NAME-5`.

    Raises:
        ValueError: the name is registered already, or ends in a hyphen and a number as a severity does; or a strength
            is missing.
    """
    if re.search(r"-\d+$", name, re.ASCII):
        raise ValueError(f"{name!r} ends like a severity; choose another name")
    if {len(kind.small), len(kind.large)} != {len(SEVERITIES)}:
        raise ValueError(f"{name!r} needs {len(SEVERITIES)} strengths for small and {len(SEVERITIES)} for large images")
    register(KINDS, name)(kind)
    for severity in SEVERITIES:
        metric = excess_error(Corruption(name, severity))
        register(METRICS, metric.name)(metric)


def need(corruption: Corruption) -> None:
    """Check that the packages of a corruption are installed.

    Raises:
        ConfigError: its kind is unknown.
        DependencyError: one is not; the message names the install command.
    """
    try:
        resolve(lookup(KINDS, corruption.kind, "corruption").function)
    except ImportError as error:
        raise DependencyError(
            f"corruption {corruption.name}: needs {error.name or error}, which is not installed; run: "
            "pip install 'edgecheck[lab]', or leave it out of corruption and gate"
        ) from None


def corrupted(images: NDArray[np.uint8], corruption: Corruption, seed: int, places: Iterable[int]) -> NDArray[np.uint8]:
    """Return corrupted images.

    Random numbers follow from seed, kind, severity and place alone, so that part of a set is corrupted as in the whole.

    Args:
        images: uint8 `(n, H, W, C)`, RGB or grey.
        corruption: the kind and its severity.
        seed: of the run.
        places: the place of each image in its set, `n` numbers.

    Returns:
        uint8 `(n, H, W, C)`, rounded to the nearest level.

    Raises:
        ConfigError: the kind is unknown.
        DependencyError: see `need`.
    """
    need(corruption)
    kind = KINDS[corruption.kind]
    function, strength = resolve(kind.function), kind.strength(corruption.severity, *images.shape[1:3])
    entropy = seed, int.from_bytes(corruption.kind.encode(), "big"), corruption.severity
    made = np.empty_like(images)
    for index, (image, place) in enumerate(zip(images, places, strict=True)):
        values = function(image, strength, np.random.default_rng((*entropy, place)))
        made[index] = np.rint(np.clip(values, 0.0, PIXEL_MAX))
    return made


@frozen(eq=False)
class CorruptedPixels:
    """The images of a set, corrupted when they are read; slices only."""

    images: Pixels
    corruption: Corruption
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, H, W, C)`."""
        return self.images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice, /) -> NDArray[np.uint8]:
        return corrupted(self.images[part], self.corruption, self.seed, range(len(self))[part])
