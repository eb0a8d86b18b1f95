"""The rows of `variants:` as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from ruamel.yaml.comments import CommentedMap

from edgecheck.config import document
from edgecheck.errors import ConfigError
from edgecheck.steps import STEPS, Scope
from edgecheck.validators import within

# Rows describe these steps by their fields, such as `criterion:`; steps of plugins are named by their kind.
BUILT_IN = ("prune", "finetune", "recalibrate", "quantize")


def _rates(_instance: object, _attribute: object, rates: list[float]) -> None:
    for rate in rates:
        if not 0 < rate < 1:
            raise ValueError(f"a pruning rate lies between 0 and 1, not {rate:g} (the control covers rate 0)")


def _own_shares(_instance: object, _attribute: object, rates: dict[str, float]) -> None:
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of layer {name} lies between 0 and 1, not {rate:g}")


@frozen
class Row:
    """One row of `variants:`, the cross product of its criteria, structures, rates, recipes and quantizations.

    Without a recipe, variants are fine-tuned by that of `finetune:`.
    `rates` gives single layers their own rate; without `rate` the others are not pruned.
    Without a criterion, the baseline is quantized. The quantization `none` makes the float file a variant, too.
    `seeds` makes each fine-tuned variant several times, with other orders of the training images.
    `others` maps the kind of each step from a plugin to its options.
    """

    criterion: list[str] = field(factory=list)
    structure: list[str] = field(factory=list)
    rate: list[float] = field(factory=list, validator=_rates)
    recipe: list[str] = field(factory=list)
    quantization: list[str] = field(factory=list)
    steps: int = field(default=1, validator=within(1, 1000))
    round_to: int = field(default=1, validator=within(1, 4096))
    scope: Scope | None = None
    rates: dict[str, float] = field(factory=dict, validator=_own_shares)
    seeds: int = field(default=1, validator=within(1, 1000))
    others: dict[str, dict[str, Any]] = field(factory=dict)


# The experiment of Renza & Ballesteros 2023, section 4: global unstructured pruning.
PAPER = Row(["l1", "random"], ["unstructured"], [0.2, 0.4, 0.6, 0.8])


def check_rates(rows: Sequence[Any], written: CommentedMap, source: str) -> None:
    """Refuse a list under `rates`, which one letter tells from `rate`, in rows as written.

    Raises:
        ConfigError: a row has one.
    """
    for index, row in enumerate(rows):
        if isinstance(row, Mapping) and isinstance(row.get("rates"), list | float | int):
            line = document.line_of(written, ("variants", index, "rates"))
            raise ConfigError(
                f"{source}:{line}: variants.{index}.rates: it maps layers to rates of their own, such as "
                "{conv1: 0.2}; did you mean 'rate'?"
            )


def with_others(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as written, with the steps of plugins moved to `others`."""
    kinds = [key for key in row if key in STEPS and key not in BUILT_IN]
    rest = {key: value for key, value in row.items() if key not in kinds}
    return {**rest, "others": {kind: row[kind] or {} for kind in kinds}} if kinds else rest
