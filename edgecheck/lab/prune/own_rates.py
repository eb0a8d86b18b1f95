"""Rates of single layers: which names they may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgecheck.errors import ConfigError
from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.registry import nearest
from edgecheck.steps import PruneStep

WEIGHT = ".weight"


def layer_of(parameter: str) -> str:
    """Return the layer that a weight belongs to."""
    return parameter.removesuffix(WEIGHT)


def check_layers(step: PruneStep, weights: Iterable[str]) -> None:
    """Check that each rate is that of a layer with one of these weights.

    Raises:
        ConfigError: one is not.
    """
    _check(step, list(map(layer_of, weights)), {})


def check_groups(step: PruneStep, groups: Sequence[DependencyGroup]) -> None:
    """Check that each rate is that of a dependency group, by its root.

    Raises:
        ConfigError: one is not; it may belong to a layer whose filters are removed together with those of another.
    """
    by_layer = {layer: group.root for group in groups for layer in group.layers}
    _check(step, [group.root for group in groups], by_layer)


def _check(step: PruneStep, known: list[str], coupled: Mapping[str, str]) -> None:
    for name in step.rates or {}:
        if name in known:
            continue
        if name in coupled:
            raise ConfigError(
                f"rates: {name} loses its filters together with {coupled[name]}; give the rate of {coupled[name]}"
            )
        hint = nearest(name, known)
        raise ConfigError(f"rates: no layer {name!r} can be pruned{hint}; known: {', '.join(known) or 'none'}")
