"""Criterion `taylor`: how much the loss would change without a weight, to first order.

Molchanov et al. 2019, "Importance estimation for neural network pruning", Eqs 5 and 7: (g w)^2, and for a filter the
square of the sum over its weights and bias; g is the gradient of the mean cross-entropy of a batch, and the mean is
taken over batches. Layers are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import Family, layers_of
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, joined
from edgecheck.registry import register

BATCH = 32  # images; the paper's fine-tuning takes as many


def weights(evidence: Evidence, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the mean over batches of `(g w)^2`, float64."""
    return {name: torch.stack(batches).mean(0) for name, batches in _gathered(evidence, list(weights)).items()}


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' `(sum g w)^2`."""
    layers = layers_of(evidence.model)
    sums: dict[str, list[Tensor]] = {name: [] for name in layers}
    for _ in _gradients(evidence):
        for name, layer in layers.items():
            parts = [_product(part).flatten(1).sum(1) for part in (layer.weight, layer.bias) if part is not None]
            sums[name].append(torch.stack(parts).sum(0).square())
    return joined(families, {name: torch.stack(batches).mean(0) for name, batches in sums.items()})


def _gathered(evidence: Evidence, names: list[str]) -> dict[str, list[Tensor]]:
    parameters = dict(evidence.model.named_parameters())
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for _ in _gradients(evidence):
        for name in names:
            found[name].append(_product(parameters[name]).square())
    return found


def _gradients(evidence: Evidence) -> Iterator[None]:
    """Yield once a batch, while the parameters hold the gradients of its loss."""
    model, seen = evidence.model.requires_grad_(True), evidence.seen
    for images, labels in zip(seen.images.split(BATCH), seen.labels.split(BATCH), strict=True):
        model.zero_grad()
        with torch.enable_grad():
            F.cross_entropy(model(images.clone()), labels).backward()
        yield


def _product(part: Tensor) -> Tensor:
    """Return `g w` in float64, `(C, 1)` of a bias; a parameter that the loss does not depend on has gradient 0."""
    gradient = torch.zeros_like(part) if part.grad is None else part.grad
    product = (gradient.double() * part.detach().double()).cpu()
    return product.unsqueeze(1) if product.ndim == 1 else product


register(CRITERIA, "taylor")(Criterion(weights, filters, needs_images=True))
