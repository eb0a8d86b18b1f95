"""Criterion `random`: the paper's yardstick. It draws from the generator it is given, never from torch's own."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from edgecheck.lab.prune.interface import CRITERIA
from edgecheck.registry import register


class Random:
    """Uniform scores in [0, 1); one seed gives nested choices: what falls at 20 % has also fallen at 40 %."""

    def elements(self, weight: Tensor, generator: Generator) -> Tensor:
        """Return one uniform number per element."""
        return torch.rand(weight.shape, generator=generator)

    def filters(self, weight: Tensor, generator: Generator) -> Tensor:
        """Return one uniform number per filter."""
        return torch.rand(weight.shape[0], generator=generator)

    def joined(self, scores: Tensor) -> Tensor:
        """Return the first layer's scores: a mean of many would crowd around a half and fall last, then all at once."""
        return scores[0]


register(CRITERIA, "random")(Random())
