"""Criterion `taylor`: the first-order change of the loss when a weight or filter is removed.

Molchanov et al. 2019, "Importance estimation for neural network pruning", Eqs 5 and 7: (g w)^2, and for a filter the
square of the sum over its weights and bias; g is the gradient of the mean cross-entropy of a batch, and the mean is
taken over batches. Layers are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, unit_scores
from edgecheck.lab.prune.layers import layers_of

BATCH = 32  # images; the paper's fine-tuning takes as many


def weights(inputs: RankingInput, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the mean over batches of `(g w)^2`, float64."""
    return {name: torch.stack(batches).mean(0) for name, batches in _gathered(inputs, list(weights)).items()}


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' `(sum g w)^2`."""
    layers = layers_of(inputs.model)
    sums: dict[str, list[Tensor]] = {name: [] for name in layers}
    for _ in _gradients(inputs):
        for name, layer in layers.items():
            parts = [_product(part).flatten(1).sum(1) for part in (layer.weight, layer.bias) if part is not None]
            sums[name].append(torch.stack(parts).sum(0).square())
    return unit_scores(groups, {name: torch.stack(batches).mean(0) for name, batches in sums.items()})


def _gathered(inputs: RankingInput, names: list[str]) -> dict[str, list[Tensor]]:
    parameters = dict(inputs.model.named_parameters())
    squares: dict[str, list[Tensor]] = {name: [] for name in names}
    for _ in _gradients(inputs):
        for name in names:
            squares[name].append(_product(parameters[name]).square())
    return squares


def _gradients(inputs: RankingInput) -> Iterator[None]:
    """Yield once per batch, while the parameters hold the gradients of its loss."""
    model = inputs.model.requires_grad_(True)
    for images, labels in zip(inputs.images.split(BATCH), inputs.labels.split(BATCH), strict=True):
        model.zero_grad()
        with torch.enable_grad():
            F.cross_entropy(model(images.clone()), labels).backward()
        yield


def _product(part: Tensor) -> Tensor:
    """Return `g w` in float64, `(C, 1)` of a bias; a parameter that the loss does not depend on has gradient 0."""
    gradient = torch.zeros_like(part) if part.grad is None else part.grad
    product = (gradient.double() * part.detach().double()).cpu()
    return product.unsqueeze(1) if product.ndim == 1 else product
