"""Structure `unstructured`: single weights of convolutions and linear layers are set to zero; shapes stay."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from edgecheck.lab.prune.own_rates import check_layers, layer_of
from edgecheck.lab.prune.state import Compressed
from edgecheck.lab.prune.structures.masking import masked, pruned_first
from edgecheck.steps import PruneStep


def prune(state: Compressed, step: PruneStep, scores: Mapping[str, Tensor], _example: Tensor) -> Compressed:
    """Set exactly `round(rate * share * n)` weights to zero.

    Under scope `global`, n counts the weights of the network; under `layer`, those of each layer. Biases and BatchNorm
    are not pruned, as in the paper. Among equal scores the earlier weight is removed.

    Raises:
        ConfigError: a rate of a layer that does not exist.
    """
    check_layers(step, scores)
    scores = pruned_first(state, scores)
    if step.scope == "global":
        return masked(state, _global_masks(scores, step.rate * step.share))
    return masked(
        state, {name: _layer_mask(score, step.rate_of(layer_of(name)) * step.share) for name, score in scores.items()}
    )


def _global_masks(scores: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    kept = _kept(torch.cat([score.flatten() for score in scores.values()]), rate)
    parts = kept.split([score.numel() for score in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def _layer_mask(scores: Tensor, rate: float) -> Tensor:
    return _kept(scores.flatten(), rate).reshape(scores.shape)


def _kept(scores: Tensor, rate: float) -> Tensor:
    """Return the mask of a flat vector of scores: False for the `round(rate * n)` lowest."""
    kept = torch.ones(scores.numel(), dtype=torch.bool)
    kept[scores.argsort(stable=True)[: round(rate * scores.numel())]] = False
    return kept
