"""Criterion `functionality`: of filters that respond to the same inputs, all but the most useful are redundant.

Qin et al. 2018, "Functionality-oriented convolutional filter pruning" (arXiv 1810.07322), cluster a layer's filters by
the images that excite them most and prune within clusters by contribution. Here no images are synthesized: two filters
are as similar as their activations on the same images and positions correlate. A filter's contribution is
the mean over images of |sum over positions of map times gradient of the loss| (Molchanov et al. 2017, Eq. 8), over the
layer's mean. It scores contribution times (1 - the highest correlation with a filter that contributes more).
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, relative_to_mean, unit_scores


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' contributions, reduced by redundancy."""
    contributions = {layer: relative_to_mean(total) for layer, total in _contributions(inputs).items()}
    alike = _correlations(inputs)
    return unit_scores(groups, {layer: lessened(shares, alike[layer]) for layer, shares in contributions.items()})


def lessened(contributions: Tensor, alike: Tensor) -> Tensor:
    """Return contributions `(C,)` times one minus the highest correlation with a filter that contributes more.

    Args:
        contributions: `(C,)`, at least 0; among equals the earlier one counts as more.
        alike: correlation of each pair, symmetric `(C, C)`; negative values count as 0.
    """
    order = contributions.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    more = rank[None] < rank[:, None]
    return contributions * (1 - torch.where(more, alike.clamp(0, 1), 0).max(dim=1).values)


def _contributions(inputs: RankingInput) -> dict[str, Tensor]:
    model = inputs.model
    last = feature_maps.last_of(model, inputs.images[:1])
    loss = partial(F.cross_entropy, reduction="sum")
    totals: dict[str, Tensor] = {}
    for batch in feature_maps.flows(model, last, inputs.images, inputs.labels, loss):
        for layer, flow in batch.items():
            totals[layer] = totals.get(layer, 0) + flow.abs().sum(0)
    return totals


def _correlations(inputs: RankingInput) -> dict[str, Tensor]:
    """Return the correlation `(C, C)` of activations over all images and positions; 0 for one that never changes."""
    sums: dict[str, Tensor] = {}
    products: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for batch in feature_maps.maps(inputs.model, inputs.images):
        for layer, maps in batch.items():
            flat = maps.clamp_min(0).transpose(0, 1).flatten(1).double()
            sums[layer] = sums.get(layer, 0) + flat.sum(1).cpu()
            products[layer] = products.get(layer, 0) + (flat @ flat.T).cpu()
            counts[layer] = counts.get(layer, 0) + flat.shape[1]
    return {layer: _correlation(sums[layer], products[layer], counts[layer]) for layer in sums}


def _correlation(sums: Tensor, products: Tensor, count: int) -> Tensor:
    covariance = products / count - torch.outer(sums, sums) / count**2
    deviations = covariance.diagonal().clamp_min(0).sqrt()
    return covariance / torch.outer(deviations, deviations).clamp_min(torch.finfo(sums.dtype).tiny)
