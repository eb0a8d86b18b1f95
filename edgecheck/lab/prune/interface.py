"""What a pruning criterion and a pruning structure are, and the two registries they are filed in.

A criterion says how important weights and filters are; a structure says what is removed, and how. Neither knows the
other, so that a new file in this folder is all that a new one takes.
"""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen
from torch import Generator, Tensor, nn

from edgecheck.plan import VariantSpec


@frozen(eq=False)
class Pruned:
    """A pruned copy of a model.

    `masks` maps a parameter name to a bool tensor of its shape, True = kept; empty where shapes got smaller instead.
    `effective_rate` is the share of prunable weights set to zero, or of prunable filters removed. `notes` says what
    was left alone, and why.
    """

    model: nn.Module
    masks: dict[str, Tensor] = field(factory=dict)
    effective_rate: float = 0.0
    notes: list[str] = field(factory=list)


class Criterion(Protocol):
    """Scores; what scores lowest is removed first. Scores of different layers are compared under scope `global`."""

    def elements(self, weight: Tensor, generator: Generator) -> Tensor:
        """Return one score per element, of the shape of `weight`."""

    def filters(self, weight: Tensor, generator: Generator) -> Tensor:
        """Return one score per output channel `(C,)` of a weight `(C, ...)`."""

    def joined(self, scores: Tensor) -> Tensor:
        """Return one score per unit `(n,)` of units whose filters in M layers fall together, `scores (M, n)`."""


class Structure(Protocol):
    """Removes what a criterion scores lowest."""

    def __call__(
        self, model: nn.Module, spec: VariantSpec, criterion: Criterion, example: Tensor, generator: Generator
    ) -> Pruned:
        """Return a pruned copy of `model`, which is not changed; `example` is an input `(1, C, H, W)`."""


CRITERIA: dict[str, Criterion] = {}
STRUCTURES: dict[str, Structure] = {}
