"""Structure `unstructured`: single weights of convolutions and linear layers are set to zero; shapes stay."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ModelError
from edgecheck.lab.prune.interface import STRUCTURES, Pruned
from edgecheck.registry import register

PRUNABLE = (nn.Conv2d, nn.Linear)


@register(STRUCTURES, "unstructured")
def unstructured(
    model: nn.Module,
    spec: VariantSpec,
    scores: Mapping[str, Tensor],
    example: Tensor,
    before: Pruned | None,
    share: float,
) -> Pruned:
    """Zero exactly `round(rate * n)` weights: n of the whole network under scope `global`, of each layer under `layer`.

    Biases and BatchNorm stay, as in the paper. Among equal scores the earlier weight goes.
    """
    choose = _global_masks if spec.scope == "global" else _layer_masks
    return masked(model, choose(gone_first(scores, before), spec.rate * share))


def gone_first(scores: Mapping[str, Tensor], before: Pruned | None) -> dict[str, Tensor]:
    """Return the scores with minus infinity for the weights that an earlier step removed."""
    gone = {name: ~kept for name, kept in before.masks.items()} if before else {}
    return {
        name: score.masked_fill(gone[name], -torch.inf) if name in gone else score for name, score in scores.items()
    }


def masked(model: nn.Module, masks: dict[str, Tensor]) -> Pruned:
    """Return a copy of the model with the weights whose masks are False set to zero."""
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        for name, mask in masks.items():
            # Not a product: it would leave -0.0, and NaN where a weight is infinite.
            pruned.get_parameter(name).masked_fill_(~mask, 0.0)
    total = sum(weight.numel() for weight in prunable_weights(pruned).values())
    return Pruned(pruned, masks, effective_rate=sum(int((~mask).sum()) for mask in masks.values()) / total)


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of convolutions and linear layers by parameter name; a shared weight appears once.

    Raises:
        ModelError: there are none.
    """
    wanted = {id(module.weight) for module in model.modules() if isinstance(module, PRUNABLE)}
    weights = {name: weight for name, weight in model.named_parameters() if id(weight) in wanted}
    if not weights:
        raise ModelError(f"{type(model).__name__} has no Conv2d and no Linear layer, so there is nothing to prune")
    return weights


def _global_masks(scores: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    kept = _kept(torch.cat([score.flatten() for score in scores.values()]), rate)
    parts = kept.split([score.numel() for score in scores.values()])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def _layer_masks(scores: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    return {name: _kept(score.flatten(), rate).reshape(score.shape) for name, score in scores.items()}


def _kept(scores: Tensor, rate: float) -> Tensor:
    """Return what is kept of a flat vector of scores: True but for the `round(rate * n)` lowest."""
    kept = torch.ones(scores.numel(), dtype=torch.bool)
    kept[scores.argsort(stable=True)[: round(rate * scores.numel())]] = False
    return kept
