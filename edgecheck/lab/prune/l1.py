"""Criterion `l1`: small weights matter least (Li et al. 2017, "Pruning filters for efficient ConvNets")."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from edgecheck.lab.prune.interface import CRITERIA
from edgecheck.registry import register


class L1:
    """Magnitude of a weight; sum of the magnitudes of a filter."""

    def elements(self, weight: Tensor, generator: Generator) -> Tensor:
        """Return `|w|`."""
        return weight.abs()

    def filters(self, weight: Tensor, generator: Generator) -> Tensor:
        """Return each filter's L1 norm over the layer's mean one: wide filters have large norms in every network."""
        norms = weight.abs().flatten(1).sum(dim=1)
        # A layer of zeros has no order; the smallest positive number keeps its scores at 0 instead of NaN.
        return norms / norms.mean().clamp_min(torch.finfo(norms.dtype).tiny)

    def joined(self, scores: Tensor) -> Tensor:
        """Return the mean over the layers."""
        return scores.mean(dim=0)


register(CRITERIA, "l1")(L1())
