"""The `search:` section: which variants a search may choose from."""

from __future__ import annotations

from typing import Any, Literal, get_args

from attrs import Attribute, field, frozen

from edgecheck.steps import Scope
from edgecheck.validators import within

Objective = Literal["size.bytes", "latency.ratio", "macs"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)

# Steps of 5 %: with 1 % the gain is smaller than what another seed changes.
_RATES = [step / 20 for step in range(1, 20)]


def _rates(_instance: object, _attribute: Attribute[Any], rates: list[float]) -> None:
    if not rates:
        raise ValueError("name at least one rate between 0 and 1")
    for rate in rates:
        if not 0 < rate < 1:
            raise ValueError(f"a pruning rate lies between 0 and 1, both excluded, not {rate:g}")


def _some(_instance: object, attribute: Attribute[Any], names: list[str]) -> None:
    if not names:
        raise ValueError(f"{attribute.name} names nothing to search; name at least one, or remove it")


@frozen
class Refine:
    """What follows the search over common rates: layers get rates of their own, which Optuna proposes.

    `trials` is how many variants are made. The layers are divided into `bands` by their sensitivity, each with its own
    rate. `weights` also varies the weights of the recipe: distillation and kept heatmaps.
    """

    trials: int = field(default=20, validator=within(1, 10**4))
    bands: int = field(default=4, validator=within(1, 64))
    weights: bool = True


@frozen
class Space:
    """The cross product of criteria, structures, recipes and quantizations, each over all `rate`s.

    `minimize` is what the search makes as small as possible; `refine` goes on with rates of single layers.
    """

    criterion: list[str] = field(factory=lambda: ["l1"], validator=_some)
    structure: list[str] = field(factory=lambda: ["filters"], validator=_some)
    rate: list[float] = field(factory=lambda: list(_RATES), validator=_rates)
    recipe: list[str] = field(factory=lambda: ["none", "paper", "preserve"], validator=_some)
    quantization: list[str] = field(factory=lambda: ["none", "int8"], validator=_some)
    round_to: int = field(default=1, validator=within(1, 4096))
    scope: Scope | None = None
    minimize: Objective = "size.bytes"
    refine: Refine | None = None
