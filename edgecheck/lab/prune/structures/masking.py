"""Setting single weights to zero, for structures that rank weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor

from edgecheck.lab.prune.layers import prunable_weights
from edgecheck.lab.prune.state import Compressed


def masked(state: Compressed, masks: Mapping[str, Tensor]) -> Compressed:
    """Return the network with the weights set to zero whose masks are False.

    What earlier steps masked stays masked.

    Args:
        state: what earlier steps left; it is not changed.
        masks: bool tensors by parameter name, each of the shape of its parameter, True where a weight is kept.
    """
    merged = {**state.masks, **masks}
    merged |= {name: masks[name] & earlier for name, earlier in state.masks.items() if name in masks}
    model = copy.deepcopy(state.model)
    with torch.no_grad():
        for name, mask in merged.items():
            # Not a product: it would leave -0.0, and NaN where a weight is infinite.
            model.get_parameter(name).masked_fill_(~mask, 0.0)
    total = sum(weight.numel() for weight in prunable_weights(model).values())
    pruned = sum(int((~mask).sum()) for mask in merged.values())
    return attrs.evolve(state, model=model, masks=merged, effective_rate=pruned / total, notes=[])


def pruned_first(state: Compressed, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the scores with minus infinity for the weights that an earlier step removed."""
    return {
        name: score.masked_fill(~state.masks[name], -torch.inf) if name in state.masks else score
        for name, score in scores.items()
    }
