"""Finds the layer of a quantized file for each layer of its float baseline: by name, else by order and shape.

A name alone may deceive, because tools number their nodes anew. So the weights have to be related: the weights of each
output, quantized, point in the direction of the float ones, whatever their scale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from attrs import frozen

from edgecheck.device.blame.layers import Layer
from edgecheck.errors import ModelError

# Mean |cosine| between the weights of an output, float and quantized. int8 gives above 0.99, int4 0.98, binary weights
# 0.8; layers that have nothing to do with each other less than 0.3.
RELATED = 0.5
# Of the layers of the baseline, at least so many have a related layer in a file that was quantized from it.
LEAST_SHARE = 0.5


@frozen(eq=False)
class Pair:
    """A layer of the baseline and the one of the candidate that stands for it."""

    baseline: Layer
    candidate: Layer


@frozen
class Unmatched:
    """A layer that was left out: the file it is in, its name, and the reason."""

    file: str
    layer: str
    reason: str


def matched(baseline: Sequence[Layer], candidate: Sequence[Layer]) -> list[Pair]:
    """Return the pairs of layers that stand for each other, in the baseline's order.

    First those of one name (of the node, then of the weight) with related weights. Then those that follow each other in
    the same order and shapes between two such pairs, again with related weights. Last those of one name and shape whose
    weights have nothing in common: it is this layer that is broken.

    Raises:
        ModelError: the files are not of the same network.
    """
    places: dict[int, int] = {}
    for name in (_node_name, _weight_name):
        _by_name(baseline, candidate, places, name, related)
    _by_order(baseline, candidate, places)
    if len(places) < LEAST_SHARE * len(baseline):
        raise ModelError(
            f"only {len(places)} of {len(baseline)} layers of the baseline have weights like those of a layer of this "
            "file: give a float file and the file that was quantized from it"
        )
    for name in (_node_name, _weight_name):
        _by_name(baseline, candidate, places, name, _same_shape)
    return [Pair(baseline[here], candidate[there]) for here, there in sorted(places.items())]


def related(one: Layer, other: Layer) -> bool:
    """Return whether two layers have weights of one shape that point in the same directions."""
    return _same_shape(one, other) and mean_cosine(one.matrix, other.matrix) >= RELATED


def mean_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean |cosine| between the rows of two matrices; that of a row of zeros is 0."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.abs(np.einsum("ij,ij->i", one, other)) / np.where(norms > 0, norms, 1)
    return float(cosines.mean())


def _same_shape(one: Layer, other: Layer) -> bool:
    return one.kind == other.kind and one.matrix.shape == other.matrix.shape


def _node_name(layer: Layer) -> str:
    return layer.name


def _weight_name(layer: Layer) -> str:
    return layer.stored_name


def _by_name(
    baseline: Sequence[Layer],
    candidate: Sequence[Layer],
    places: dict[int, int],
    name: Callable[[Layer], str],
    fit: Callable[[Layer, Layer], bool],
) -> None:
    """Add the pairs of one name that no other layer has."""
    here, there = (Counter(map(name, layers)) for layers in (baseline, candidate))
    known = {name(layer): place for place, layer in enumerate(candidate) if there[name(layer)] == 1}
    for place, layer in enumerate(baseline):
        other = known.get(name(layer)) if name(layer) and here[name(layer)] == 1 else None
        if other is not None and place not in places and other not in places.values() and fit(layer, candidate[other]):
            places[place] = other


def _by_order(baseline: Sequence[Layer], candidate: Sequence[Layer], places: dict[int, int]) -> None:
    """Add the pairs between two neighbouring pairs where both files have layers of the same kinds and shapes there."""
    anchors = [(-1, -1), *sorted(places.items()), (len(baseline), len(candidate))]
    for (left, first), (right, last) in pairwise(anchors):
        here, there = range(left + 1, right), range(first + 1, last)
        if len(here) != len(there) or not set(there).isdisjoint(places.values()):
            continue
        if all(_same_shape(baseline[a], candidate[b]) for a, b in zip(here, there, strict=True)):
            places |= {a: b for a, b in zip(here, there, strict=True) if related(baseline[a], candidate[b])}
