"""Criterion `functionality`: of filters that respond to the same inputs, all but the most useful are redundant.

Qin et al. 2018, "Functionality-oriented convolutional filter pruning" (arXiv 1810.07322), cluster a layer's filters by
the pictures that excite them most and prune within clusters by contribution. Here no pictures are synthesised: two
filters are alike as far as their activations on the same images and positions correlate. A filter's contribution is
the mean over images of |sum over positions of map times gradient of the loss| (Molchanov et al. 2017, Eq. 8), over the
layer's mean. It scores contribution times (1 - the highest correlation with a filter that contributes more).
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import Family
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, joined, over_mean
from edgecheck.registry import register


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' contributions, lessened by redundancy."""
    contributions = {layer: over_mean(found) for layer, found in _contributions(evidence).items()}
    alike = _correlations(evidence)
    return joined(families, {layer: lessened(found, alike[layer]) for layer, found in contributions.items()})


def lessened(contributions: Tensor, alike: Tensor) -> Tensor:
    """Return contributions `(C,)` times one minus the highest correlation with a filter that contributes more.

    Args:
        contributions: `(C,)`, at least 0; among equals the earlier one counts as more.
        alike: correlation of each pair, symmetric `(C, C)`; what is below 0 counts as 0.
    """
    order = contributions.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    more = rank[None] < rank[:, None]
    return contributions * (1 - torch.where(more, alike.clamp(0, 1), 0).max(dim=1).values)


def _contributions(evidence: Evidence) -> dict[str, Tensor]:
    model, seen = evidence.model, evidence.seen
    last = feature_maps.last_of(model, seen.images[:1])
    loss = partial(F.cross_entropy, reduction="sum")
    totals: dict[str, Tensor] = {}
    for batch in feature_maps.flows(model, last, seen.images, seen.labels, loss):
        for layer, flow in batch.items():
            totals[layer] = totals.get(layer, 0) + flow.abs().sum(0)
    return totals


def _correlations(evidence: Evidence) -> dict[str, Tensor]:
    """Return the correlation `(C, C)` of activations over all images and positions; 0 for one that never changes."""
    sums: dict[str, Tensor] = {}
    products: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for batch in feature_maps.maps(evidence.model, evidence.seen.images):
        for layer, found in batch.items():
            flat = found.clamp_min(0).transpose(0, 1).flatten(1).double()
            sums[layer] = sums.get(layer, 0) + flat.sum(1).cpu()
            products[layer] = products.get(layer, 0) + (flat @ flat.T).cpu()
            counts[layer] = counts.get(layer, 0) + flat.shape[1]
    return {layer: _correlation(sums[layer], products[layer], counts[layer]) for layer in sums}


def _correlation(sums: Tensor, products: Tensor, count: int) -> Tensor:
    covariance = products / count - torch.outer(sums, sums) / count**2
    deviations = covariance.diagonal().clamp_min(0).sqrt()
    return covariance / torch.outer(deviations, deviations).clamp_min(torch.finfo(sums.dtype).tiny)


register(CRITERIA, "functionality")(Criterion(filters=filters, needs_images=True))
