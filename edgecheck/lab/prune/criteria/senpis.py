"""Criteria `senpis-faster` and `senpis`: what each class loses when a filter is switched off.

Pachon, Ballesteros & Renza 2022, "SeNPIS: Sequential network pruning by class-wise importance score". The paper's text
is not at hand; what follows was decided from its summary. A filter scores the mean over classes of |change of the
class's mean cross-entropy| when its feature map is set to zero. `senpis` then attenuates: of two filters of a layer
whose maps are more alike (cosine, over all images and positions) than the mean plus one standard deviation over the
layer's pairs, the one that scores lower is multiplied by 0.9, once for each such pair. `senpis-faster` does without.
All filters are scored once on the whole network, not layer after layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import Family, layers_of
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, Samples, joined
from edgecheck.registry import register

ATTENUATION = 0.9


def faster(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' class-wise importance, in nats."""
    return joined(families, _importance(evidence, families))


def attenuated(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return the same after weaker ones of filters alike were attenuated."""
    scores = _importance(evidence, families)
    alike = _similarities(evidence)
    return joined(families, {layer: attenuate(score, alike[layer]) for layer, score in scores.items()})


def attenuate(scores: Tensor, alike: Tensor) -> Tensor:
    """Return scores `(C,)`, times 0.9 for each filter that scores higher and whose maps are alike.

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


def _importance(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return the importance `(C,)` of the filters of each layer that a family prunes."""
    model, seen = evidence.model, evidence.seen
    last = feature_maps.last_of(model, seen.images[:1])
    whole = _class_losses(model, seen)
    widths = {layer: len(module.weight) for layer, module in layers_of(model).items()}
    scores = {}
    for layer in dict.fromkeys(layer for family in families for layer in family.layers):
        changes = []
        axis = feature_maps.channel_axis(model.get_submodule(last[layer]))
        for channel in range(widths[layer]):
            with feature_maps.hooked(model, {last[layer]: partial(_switched_off, channel, axis)}):
                changes.append((_class_losses(model, seen) - whole).abs().mean())
        scores[layer] = torch.stack(changes)
    return scores


def _switched_off(channel: int, axis: int, output: Tensor) -> Tensor:
    output = output.clone()
    output.select(axis, channel).zero_()
    return output


def _class_losses(model: nn.Module, seen: Samples) -> Tensor:
    """Return the mean cross-entropy of each class that the images show, float64."""
    with torch.no_grad():
        parts = [
            F.cross_entropy(model(images.clone()).double(), labels, reduction="none")
            for images, labels in zip(
                seen.images.split(feature_maps.BATCH), seen.labels.split(feature_maps.BATCH), strict=True
            )
        ]
    losses, labels = torch.cat(parts).cpu(), seen.labels.cpu()
    return torch.stack([losses[labels == label].mean() for label in labels.unique()])


def _similarities(evidence: Evidence) -> dict[str, Tensor]:
    """Return the cosine `(C, C)` of the positive parts of each pair of a layer's maps; 0 for a map of zeros."""
    grams: dict[str, Tensor] = {}
    for batch in feature_maps.maps(evidence.model, evidence.seen.images):
        for layer, found in batch.items():
            flat = found.clamp_min(0).transpose(0, 1).flatten(1).double()
            grams[layer] = grams.get(layer, 0) + (flat @ flat.T).cpu()
    return {layer: _cosine(gram) for layer, gram in grams.items()}


def _cosine(gram: Tensor) -> Tensor:
    norms = gram.diagonal().sqrt()
    return gram / torch.outer(norms, norms).clamp_min(torch.finfo(gram.dtype).tiny)


_SCORES: dict[str, Callable[[Evidence, list[Family]], dict[str, Tensor]]] = {
    "senpis-faster": faster,
    "senpis": attenuated,
}
for _name, _scores in _SCORES.items():
    register(CRITERIA, _name)(Criterion(filters=_scores, needs_images=True))
