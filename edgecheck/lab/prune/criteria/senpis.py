"""Criteria `senpis-faster` and `senpis`: the change of each class's loss when a filter is switched off.

Pachon, Ballesteros & Renza 2022, "SeNPIS: Sequential network pruning by class-wise importance score". The paper's text
was not available; this follows its abstract. A filter scores the mean over classes of |change of the
class's mean cross-entropy| when its feature map is set to zero. `senpis` then attenuates: of two filters of a layer
whose maps are more alike (cosine, over all images and positions) than the mean plus one standard deviation over the
layer's pairs, the one that scores lower is multiplied by 0.9, once for each such pair. `senpis-faster` does
not attenuate. All filters are scored once on the whole network, not layer by layer.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, unit_scores
from edgecheck.lab.prune.layers import layers_of

ATTENUATION = 0.9


def faster(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' class-wise importance, in nats."""
    return unit_scores(groups, _importance(inputs, groups))


def attenuated(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return the same after the weaker of each pair of similar filters is attenuated."""
    scores = _importance(inputs, groups)
    alike = _similarities(inputs)
    return unit_scores(groups, {layer: attenuate(score, alike[layer]) for layer, score in scores.items()})


def attenuate(scores: Tensor, alike: Tensor) -> Tensor:
    """Return scores `(C,)`, multiplied by 0.9 for each filter with a higher score and similar maps.

    Args:
        scores: importance `(C,)`.
        alike: similarity of the maps of each pair, symmetric `(C, C)`.
    """
    rows, columns = torch.triu_indices(len(scores), len(scores), offset=1)
    pairs = alike[rows, columns]
    if len(pairs) < 2:
        return scores
    close = alike > pairs.mean() + pairs.std()
    order = torch.arange(len(scores))
    stronger = (scores[None] > scores[:, None]) | ((scores[None] == scores[:, None]) & (order[None] < order[:, None]))
    return scores * ATTENUATION ** (close & stronger).sum(dim=1).double()


def _importance(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return the importance `(C,)` of the filters of each layer that a group prunes."""
    model = inputs.model
    last = feature_maps.last_of(model, inputs.images[:1])
    whole = _class_losses(inputs)
    widths = {layer: len(module.weight) for layer, module in layers_of(model).items()}
    scores = {}
    for layer in dict.fromkeys(layer for group in groups for layer in group.layers):
        changes = []
        axis = feature_maps.channel_axis(model.get_submodule(last[layer]))
        for channel in range(widths[layer]):
            with feature_maps.hooked(model, {last[layer]: partial(_switched_off, channel, axis)}):
                changes.append((_class_losses(inputs) - whole).abs().mean())
        scores[layer] = torch.stack(changes)
    return scores


def _switched_off(channel: int, axis: int, output: Tensor) -> Tensor:
    output = output.clone()
    output.select(axis, channel).zero_()
    return output


def _class_losses(inputs: RankingInput) -> Tensor:
    """Return the mean cross-entropy of each class among the images, float64."""
    with torch.no_grad():
        parts = [
            F.cross_entropy(inputs.model(images.clone()).double(), labels, reduction="none")
            for images, labels in zip(
                inputs.images.split(feature_maps.BATCH), inputs.labels.split(feature_maps.BATCH), strict=True
            )
        ]
    losses, labels = torch.cat(parts).cpu(), inputs.labels.cpu()
    return torch.stack([losses[labels == label].mean() for label in labels.unique()])


def _similarities(inputs: RankingInput) -> dict[str, Tensor]:
    """Return the cosine `(C, C)` of the positive parts of each pair of a layer's maps; 0 for a map of zeros."""
    grams: dict[str, Tensor] = {}
    for batch in feature_maps.maps(inputs.model, inputs.images):
        for layer, maps in batch.items():
            flat = maps.clamp_min(0).transpose(0, 1).flatten(1).double()
            grams[layer] = grams.get(layer, 0) + (flat @ flat.T).cpu()
    return {layer: _cosine(gram) for layer, gram in grams.items()}


def _cosine(gram: Tensor) -> Tensor:
    norms = gram.diagonal().sqrt()
    return gram / torch.outer(norms, norms).clamp_min(torch.finfo(gram.dtype).tiny)
