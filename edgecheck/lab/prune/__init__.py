"""Removing weights or filters by a criterion."""

from __future__ import annotations

import copy

from torch import Generator, Tensor, nn

from edgecheck.errors import ConfigError
from edgecheck.lab.prune import filters, l1, random, unstructured  # each files itself in a registry
from edgecheck.lab.prune.interface import CRITERIA, STRUCTURES, Criterion, Pruned, Structure
from edgecheck.plan import VariantSpec
from edgecheck.registry import lookup

__all__ = [
    "CRITERIA",
    "STRUCTURES",
    "Criterion",
    "Pruned",
    "Structure",
    "filters",
    "l1",
    "prune",
    "random",
    "unstructured",
]

SCOPES = ("global", "layer")


def prune(model: nn.Module, spec: VariantSpec, example: Tensor, seed: int) -> Pruned:
    """Return a pruned copy of `model`; the model itself and torch's global random state stay as they are.

    A pure function of the weights, the spec and the seed, so that a resumed run can make the same shapes again and
    load its saved weights into them.

    Args:
        model: a classifier; it is traced in eval mode.
        spec: criterion, structure, scope and rate. At rate 0 the copy is unchanged.
        example: one input float32 `(1, C, H, W)`, of which only the shape matters.
        seed: of the `random` criterion.

    Raises:
        ConfigError: an unknown criterion, structure or scope, or a rate outside 0..1.
        ModelError: the model has nothing to prune, cannot run on the example, or cannot be traced.
    """
    check_spec(spec)
    if spec.rate == 0:
        return unpruned(model)
    criterion = lookup(CRITERIA, spec.criterion, "criterion")
    structure = lookup(STRUCTURES, spec.structure, "structure")
    return structure(model, spec, criterion, example, Generator().manual_seed(seed))


def unpruned(model: nn.Module) -> Pruned:
    """Return an unchanged copy of `model`: what the control is fine-tuned from."""
    return Pruned(copy.deepcopy(model))


def check_spec(spec: VariantSpec) -> None:
    """Refuse what cannot be carried out, before any work is done.

    Raises:
        ConfigError: an unknown criterion, structure or scope, or a rate outside 0..1.
    """
    if not 0 <= spec.rate <= 1:
        raise ConfigError(f"variant {spec.name}: rate {spec.rate:g} is outside 0..1; 0.4 removes 40 %")
    if spec.scope not in SCOPES:
        raise ConfigError(f"variant {spec.name}: unknown scope {spec.scope!r}; known: {', '.join(SCOPES)}")
    lookup(CRITERIA, spec.criterion, "criterion")
    lookup(STRUCTURES, spec.structure, "structure")
