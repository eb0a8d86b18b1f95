"""Structures such as `2:4`: of every 4 consecutive weights along the input channels, 2 are kept.

Mishra et al. 2021, "Accelerating sparse deep neural networks", section 3: the pattern that sparse tensor cores can use.
The blocks run along the input channels at one kernel position. A layer whose input channels do not divide into blocks
is not pruned.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from torch import Tensor

from edgecheck.errors import ModelError
from edgecheck.lab.prune.state import Compressed
from edgecheck.lab.prune.structures.masking import masked
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep


def prune(state: Compressed, step: PruneStep, scores: Mapping[str, Tensor], _example: Tensor) -> Compressed:
    """Set the lowest-scoring weights of each block to zero.

    Raises:
        ModelError: the input channels of no layer divide into blocks.
    """
    kept, block = map(int, step.structure.split(":"))
    divisible = {name: score for name, score in scores.items() if score.shape[1] % block == 0}
    if not divisible:
        raise ModelError(f"no layer of {type(state.model).__name__} has input channels in multiples of {block}")
    pruned = masked(state, {name: _mask(score, kept, block) for name, score in divisible.items()})
    others = [name.removesuffix(".weight") for name in scores if name not in divisible]
    notes = [Diagnostic("layers-not-divisible", {"layers": others, "multiple": block})] if others else []
    return attrs.evolve(pruned, notes=notes)


def _mask(scores: Tensor, kept: int, block: int) -> Tensor:
    """Return True for the `kept` highest of each block along axis 1; among equal scores the later ones are kept."""
    rows = scores.movedim(1, -1)
    order = rows.reshape(*rows.shape[:-1], -1, block).argsort(dim=-1, stable=True)
    mask = torch.ones(order.shape, dtype=torch.bool).scatter(-1, order[..., : block - kept], False)
    return mask.reshape(rows.shape).movedim(-1, 1)
