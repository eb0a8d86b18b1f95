"""Structures such as `2:4`: of every 4 weights in a row along the input channels, 2 stay.

Mishra et al. 2021, "Accelerating sparse deep neural networks", section 3: what sparse tensor cores can use. Groups run
along the input channels at one kernel position. A layer whose input channels do not divide into groups is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ModelError
from edgecheck.lab.prune.interface import Pruned, Structure
from edgecheck.lab.prune.structures.unstructured import masked


def keeping(kept: int, group: int) -> Structure:
    """Return the structure that keeps the `kept` highest-scoring weights of every `group`."""

    def structure(
        model: nn.Module,
        spec: VariantSpec,
        scores: Mapping[str, Tensor],
        example: Tensor,
        before: Pruned | None,
        share: float,
    ) -> Pruned:
        """Zero the lowest of each group.

        Raises:
            ModelError: no layer's input channels divide into groups.
        """
        fit = {name: score for name, score in scores.items() if score.shape[1] % group == 0}
        if not fit:
            raise ModelError(f"no layer of {type(model).__name__} has input channels in multiples of {group}")
        pruned = masked(model, {name: _mask(score, kept, group) for name, score in fit.items()})
        alone = [name.removesuffix(".weight") for name in scores if name not in fit]
        if alone:
            pruned.notes.append(f"left alone, as their input channels are no multiple of {group}: {', '.join(alone)}")
        return pruned

    return structure


def _mask(scores: Tensor, kept: int, group: int) -> Tensor:
    """Return True for the `kept` highest of each group along axis 1; among equals the later ones stay."""
    rows = scores.movedim(1, -1)
    order = rows.reshape(*rows.shape[:-1], -1, group).argsort(dim=-1, stable=True)
    mask = torch.ones(order.shape, dtype=torch.bool).scatter(-1, order[..., : group - kept], False)
    return mask.reshape(rows.shape).movedim(-1, 1)
